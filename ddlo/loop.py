"""The loop of DDLO over all time frames; if every class allows it, compiled into few XLA calls."""

import sys
from contextlib import contextmanager
from importlib import import_module
from threading import Thread

import numpy as np
from tqdm.auto import tqdm

from ddlo import FRAMES_PER_CALL, checks
from ddlo.data import MEASURES
from ddlo.dnns import backend_module
from ddlo.network import Network


def run_frames(loop, ddlo, data, index, quiet=False, checkpoint=None):
    """Run DDLO on the samples `index` (frames,) of the data, and return the history.

    `loop` decides states (B, S) and returns the winners (B,) and their decisions (B, N*M). With a
    Checkpoint, start from its saved frames and save this run.

    The history is a dict of arrays (frames, ...): index; chosen, the winning candidate (below K the DNN
    that proposed it); decision; Q; and gain_ratio, or difference if utilities are negative. Raises
    ValueError for a utility that is not finite or below the optimum.
    """
    net, frames, t = ddlo.net, len(index), 0
    chosen, decision = np.empty(frames, np.int32), np.empty((frames, net.n_out), np.uint8)
    Q, values = np.empty(frames), np.empty(frames)
    name = MEASURES[data.measure].format(reference=data.reference)

    def score(now):
        x = decision[now].astype(np.int32)  # arithmetic with uint8 would wrap
        found = ddlo.network.compute_Q(data.states[index[now]], x)
        Q[now] = checks.finite("Q", np.asarray(found))
        values[now] = data.compare(Q[now], index[now])

    if checkpoint and checkpoint.done:
        t = len(checkpoint.done[0])
        chosen[:t], decision[:t] = checkpoint.done
        for start in range(0, t, FRAMES_PER_CALL):
            score(slice(start, min(t, start + FRAMES_PER_CALL)))
    hidden = quiet or None  # None: unless stderr is a terminal
    with tqdm(total=frames, initial=t, unit=" frames", disable=hidden) as bar:
        while t < frames:
            # A call ends with a training step, unless the run ends or is saved there.
            due, interval = net.frames_to_training, net.training_interval
            stop = t + due + max(0, FRAMES_PER_CALL - due) // interval * interval
            if checkpoint:
                stop = min(stop, (t // checkpoint.every + 1) * checkpoint.every)
            now = slice(t, min(frames, stop))
            chosen[now], decision[now] = loop(data.states[index[now]])
            score(now)
            t = now.stop
            bar.set_postfix_str(f"{name} {values[max(0, t - 1000) : t].mean():.4f}", refresh=False)
            bar.update(t - now.start)
            if checkpoint and t % checkpoint.every == 0:
                checkpoint.save(chosen[:t], decision[:t])
    history = {"index": index, "chosen": chosen, "decision": decision, "Q": Q}
    return history | ({} if data.measure == "Q" else {data.measure: values})


@contextmanager
def starting(device=None, backend="tensorflow"):
    """Start the backend on a device and yield its name; meanwhile a terminal shows a message."""
    shown = "PyTorch" if backend == "torch" else "TensorFlow"
    with tqdm(desc=f"starting {shown}", bar_format="{desc}", leave=False, disable=None):
        name = backend_module(backend).use_device(device)
        # For the plots, while XLA compiles on another core.
        Thread(target=import_module, args=["matplotlib.backends.backend_pdf"]).start()
        yield name


def fast_loop(ddlo, frames):
    """Return ddlo.decide_and_learn, compiled if possible and if there is a block to compile.

    Otherwise one line on stderr says what the user can write to have it compiled. With PyTorch it never is:
    only training steps run there.
    """
    due, interval = ddlo.net.frames_to_training, ddlo.net.training_interval
    first = due if due >= interval else due + interval  # frames to the end of the first block
    if first > frames or ddlo.net.backend == "torch":
        return ddlo.decide_and_learn
    for part in (ddlo.network, ddlo.net, ddlo):
        if not part.compiled:
            name, base = type(part).__name__, type(part).__bases__[0].__name__
            hint = f"If {name}'s methods also work on tensors: class {name}({base}, compiled=True)"
            if isinstance(part, Network) and part.scored_by_Q:
                hint = f"{name} has only compute_Q; with a utility it could be compiled"
            return plain_loop(ddlo, hint if part.compiled is None else None)
    from ddlo.backend import tf

    try:
        return compile_loop(ddlo)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises on tensors
        *_, reason = str(error).strip().split("\n")
        return plain_loop(
            ddlo,
            f"TensorFlow cannot compile it ({type(error).__name__}: {reason.strip()}): write the utility "
            "or candidate rule with functions of xp, such as xp.where(late, 50.0, 0.0)",
        )


def plain_loop(ddlo, reason=None):
    """Return ddlo.decide_and_learn, and say the reason unless it is the user's choice."""
    if reason:
        message = f"the loop is not compiled: same result, slower. {reason}"
        tqdm.write(message, file=sys.stderr)
    return ddlo.decide_and_learn


def compile_loop(ddlo):
    """Return a function that does what ddlo.decide_and_learn does, compiled for whole blocks.

    A block is the frames between two training steps. One call does up to `most` blocks, because a call
    into TensorFlow takes longer than a block. Another lr, or a network with other `costs`, takes effect;
    after a change of another setting frames run one block at a time, not compiled.
    """
    from ddlo.backend import compiled, tf, tnp

    net, interval = ddlo.net, ddlo.net.training_interval
    n_in, n_out = net.n_in, net.n_out
    most = max(1, FRAMES_PER_CALL // interval)

    def settings():
        return net.training_interval, net.batch_size, net.candidates, ddlo.recombine

    fixed = settings()

    @compiled
    def run_blocks(blocks, rate, h, costs, rows, sample_index, memory, state):
        def block(t, memory, state, chosen, decision, training_cost):
            weights = [tf.cast(w, tf.float64) for w in state[0]]
            logits = net.logits(weights, tf.cast(h[t], tf.float64), tnp)
            candidates = tf.cast(net.candidates(logits, tnp), tf.float64)
            k, x = ddlo.pick(costs[t], ddlo.network.allowed(costs[t], candidates, tnp), tnp)
            x = tf.cast(x, tf.float32)
            memory = stored(memory, rows[t], net.join(h[t], x, tnp))
            state, cost = net.train(state, rate, memory, sample_index[t])
            chosen = chosen.write(t, tf.cast(k, tf.int32))
            decision = decision.write(t, x)
            return t + 1, memory, state, chosen, decision, training_cost.write(t, cost)

        chosen = tf.TensorArray(tf.int32, most, element_shape=(interval,))
        decision = tf.TensorArray(tf.float32, most, element_shape=(interval, n_out))
        training_cost = tf.TensorArray(tf.float32, most, element_shape=(net.net_num,))
        start = (tf.constant(0), memory, state, chosen, decision, training_cost)
        _, *end = tf.while_loop(lambda t, *others: t < blocks, block, start)
        return *end[:2], *(array.stack() for array in end[2:])

    def whole_blocks(states):
        """Run whole blocks, up to `most`, each ending with a training step."""
        frames, blocks = len(states), len(states) // interval
        sample_index = np.empty((blocks, net.net_num, net.batch_size), np.int32)
        for block in range(blocks):
            sample_index[block] = net.draw(net.memory_counter + interval * (block + 1))
        costs = ddlo.network.costs(states)
        arrays = (
            net.check_inputs(net.inputs(ddlo.network, states)).reshape(blocks, interval, n_in),
            costs.reshape(len(costs), blocks, interval, costs.shape[-1]).swapaxes(0, 1),
            net.rows(frames).reshape(blocks, interval),
            sample_index,
        )
        # XLA needs fixed shapes: pad to `most` blocks; the loop stops before the padding.
        arrays = [np.resize(array, (most, *array.shape[1:])) for array in arrays]
        numbers = np.array(blocks, np.int32), np.array(net.lr, np.float32)
        memory, state, *results = run_blocks(*numbers, *arrays, net.memory, net.raw_state)
        k, x, cost = (result.numpy()[:blocks] for result in results)
        if blocks:
            net.memory[:] = memory.numpy()
            net.memory_counter += frames
            net.trained(state, cost)
        return k.ravel(), x.reshape(frames, n_out).astype(np.int32)

    def loop(states):
        states = np.atleast_2d(ddlo.network.check_state(states))
        results = [ddlo.decide_and_learn(states[:0])]
        as_compiled = settings() == fixed
        while len(states):
            due, now = net.frames_to_training, net.training_interval
            if as_compiled and due == interval <= len(states):
                frames = interval * min(most, len(states) // interval)
                results.append(whole_blocks(states[:frames]))
            else:  # before the first training step, and the rest at the end
                frames = due - now if due > now else due
                results.append(ddlo.decide_and_learn(states[:frames]))
            states = states[frames:]
        return tuple(map(np.concatenate, zip(*results)))

    whole_blocks(np.empty((0, ddlo.network.state_size)))  # compiles it
    return loop


def stored(memory, rows, entries):
    """Return the memory, a tensor, with entries (B, n_in + n_out) in rows (B,)."""
    from ddlo.backend import tf

    last = slice(-memory.shape[0], None)  # if a row repeats, the later entry wins
    rows = rows[last]  # on its own: XLA gives wrong rows if one slice also adds the axis below
    return tf.tensor_scatter_nd_update(memory, rows[:, None], entries[last])
