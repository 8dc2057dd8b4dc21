"""The loop of DDLO over many blocks of frames, compiled by XLA into one call.

A call into TensorFlow for each step would take longer than what it computes.
"""

import sys

import numpy as np
from tqdm import tqdm

from ddlo import FRAMES_PER_CALL, checks
from ddlo.backend import tf, tnp
from ddlo.candidates import RULES
from ddlo.network import NETWORKS
from memory import MemoryDNN


def can_compile(ddlo):
    """Whether compiled code does what the objects do: no class overrides what it passes over.

    Of a network it takes `task_costs` and `utility` in place of `compute_Q`, which has to be of the
    class that `utility` comes from: a compute_Q of a subclass's own is called step by step.
    """
    scores, pieces = (_classes_with(ddlo.network, name) for name in ("compute_Q", "utility"))
    methods = ("decode", "encode", "remember", "learn", "blocks")
    return (
        scores[:1] == pieces[-1:] != []
        and hasattr(ddlo.network, "task_costs")
        and not checks.overridden(ddlo.net, MemoryDNN, *methods)
        and all(len(_classes_with(ddlo, name)) == 1 for name in ("decide", "decide_and_learn"))
    )


def _classes_with(thing, method):
    """Return the classes of an object that define a method, from its own to the first one."""
    return [kind for kind in type(thing).__mro__ if method in vars(kind)]


def fast_loop(ddlo, frames):
    """Return ddlo.decide_and_learn for so many frames, compiled where that is possible and pays.

    Where a custom network or candidate rule cannot be compiled, one line on stderr says why. What is
    ours can be: if it is not, as where there is too little memory, the error is TensorFlow's own.
    """
    if not can_compile(ddlo) or ddlo.net.training_interval > frames:  # no block to compile
        return ddlo.decide_and_learn
    try:
        return compile_loop(ddlo)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise
    except Exception as error:  # whatever a user's functions raise when traced
        if is_ours(ddlo):
            raise
        reason = [line.strip() for line in str(error).splitlines() if line.strip()][-1:]
        tqdm.write(
            "the loop runs step by step, as TensorFlow cannot compile the network's utility or the "
            f"candidate rule ({type(error).__name__}: {''.join(reason)}); write them with functions of "
            "xp, such as xp.where(late, 50.0, 0.0) for 50 * late",
            file=sys.stderr,
        )
        return ddlo.decide_and_learn


def is_ours(ddlo):
    """Whether nothing that is to be compiled is a user's own: network, candidate rule, algorithm."""
    rule = ddlo.net.candidates
    return (
        (rule in RULES.values() or type(rule) in RULES.values())
        and type(ddlo.network) in NETWORKS.values()
        and len(_classes_with(ddlo, "pick")) == 1
    )


def compile_loop(ddlo):
    """Return a function that does what ddlo.decide_and_learn does, compiled for whole blocks.

    The network can be exchanged for one of the same class and size, with other constants, and lr of
    the MemoryDNN changed; with another training_interval or batch_size frames are done step by step.

    Raises ValueError if it cannot be compiled, as `can_compile` tells.
    """
    if not can_compile(ddlo):
        raise ValueError("this DDLO cannot be compiled, see can_compile: use its decide_and_learn")
    net, interval, batch_size = ddlo.net, ddlo.net.training_interval, ddlo.net.batch_size
    n_in, n_out = net.net[0], net.net[-1]
    most = max(1, FRAMES_PER_CALL // interval)

    @tf.function(jit_compile=True)
    def run_blocks(blocks, h, costs, rows, sample_index, memory):
        chosen = tf.TensorArray(tf.int32, most, element_shape=(interval,))
        decision = tf.TensorArray(tf.float32, most, element_shape=(interval, n_out))
        training_cost = tf.TensorArray(tf.float32, most, element_shape=(net.net_num,))
        t = 0
        while t < blocks:  # `for t in tf.range(blocks)` is compiled anew for every value of blocks
            logits = net.logits(tf.cast(h[t], tf.float64))
            candidates = tf.cast(net.candidates(logits, tnp), tf.float64)
            if hasattr(ddlo.network, "allowed"):
                candidates = ddlo.network.allowed(costs[t], candidates, tnp)
            k, x = ddlo.pick(
                candidates,
                lambda x, d=costs[t]: ddlo.network.utility(d, x, tnp),
                lambda candidates, x, d=costs[t]: ddlo.network.recombine(d, candidates, x, tnp),
                tnp,
            )
            x = tf.cast(x, tf.float32)
            memory = stored(memory, rows[t], tf.concat([h[t], x], axis=1))
            cost = net.train(memory, sample_index[t])
            chosen = chosen.write(t, tf.cast(k, tf.int32))
            decision = decision.write(t, x)
            training_cost = training_cost.write(t, cost)
            t += 1
        return memory, chosen.stack(), decision.stack(), training_cost.stack()

    def whole_blocks(task_size):
        """Do frames of whole blocks, each ending with a training step: up to `most` blocks."""
        frames, blocks = len(task_size), len(task_size) // interval
        counters = net.memory_counter + interval * np.arange(1, blocks + 1)
        sample_index = np.empty((blocks, net.net_num, net.batch_size), np.int32)
        for block, counter in enumerate(counters):
            sample_index[block] = net.draw(counter)
        costs = ddlo.network.task_costs(task_size)
        arrays = (
            ddlo.scale(task_size).astype(np.float32).reshape(blocks, interval, n_in),
            costs.reshape(len(costs), blocks, interval, costs.shape[-1]).swapaxes(0, 1),
            net.rows(frames).reshape(blocks, interval),
            sample_index,
        )
        # It is compiled for one number of blocks; those that fill up a smaller one do not run.
        arrays = [np.resize(array, (most, *array.shape[1:])) for array in arrays]
        memory, chosen, decision, cost = run_blocks(tf.constant(blocks), *arrays, net.memory)
        net.advance(memory.numpy(), frames, cost.numpy()[:blocks])
        k, x = chosen.numpy()[:blocks].ravel(), decision.numpy()[:blocks].reshape(frames, n_out)
        return k, x.astype(np.int32)

    def loop(task_size):
        """Decide and learn frames; those that are no whole block are done step by step."""
        task_size = checks.frames("task_size", task_size, n_in)
        results = [ddlo.decide_and_learn(task_size[:0])]
        is_compiled = (net.training_interval, net.batch_size) == (interval, batch_size)
        while len(task_size):
            due, now = net.frames_to_training, net.training_interval
            if is_compiled and due == interval <= len(task_size):
                frames = interval * min(most, len(task_size) // interval)
                results.append(whole_blocks(task_size[:frames]))
            else:
                frames = due - now if due > now else due
                results.append(ddlo.decide_and_learn(task_size[:frames]))
            task_size = task_size[frames:]
        return tuple(np.concatenate(parts) for parts in zip(*results))

    whole_blocks(np.empty((0, n_in)))  # no block: this only compiles it
    return loop


def stored(memory, rows, entries):
    """Return the memory, a tensor, with entries (B, n_in + n_out) in rows (B,)."""
    last = slice(-memory.shape[0], None)  # in a row that is taken twice the later entry stays
    rows = rows[last]  # one slice with the new axis below gives wrong rows under XLA
    return tf.tensor_scatter_nd_update(memory, rows[:, None], entries[last])
