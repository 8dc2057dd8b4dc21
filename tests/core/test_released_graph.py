"""MemoryDNN beside the released package's DNNs, built as a graph with TensorFlow 1's own parts."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from ddlo.scale import RELEASED
from memory import MemoryDNN

K, FRAMES = 10, 709  # up to the 20th training step, at counter 710
v1 = tf.compat.v1


class Graph:
    """The K DNNs as released: TensorFlow 1's layers, loss and optimiser, trained one by one."""

    def __init__(self, weights, **parameters):
        with tf.Graph().as_default():
            self.h = v1.placeholder(tf.float32, [None, 9])
            self.m = v1.placeholder(tf.float32, [None, 9])
            logits, self.costs, self.steps = [], [], []
            for k in range(K):
                w1, b1, w2, b2, w3, b3 = (
                    v1.get_variable(f"weights_{k}_{i}", initializer=w[k])
                    for i, w in enumerate(weights)
                )
                hidden = tf.nn.relu(tf.matmul(self.h, w1) + b1)
                hidden = tf.nn.relu(tf.matmul(hidden, w2) + b2)
                logits.append(tf.matmul(hidden, w3) + b3)
                loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=self.m, logits=logits[-1])
                self.costs.append(tf.reduce_mean(loss))
                optimiser = v1.train.AdamOptimizer(**parameters)
                self.steps.append(optimiser.minimize(self.costs[-1]))
            self.logits = tf.stack(logits)
            self.session = v1.Session()
            self.session.run(v1.global_variables_initializer())

    def decode(self, h):
        return self.session.run(self.logits, {self.h: h}) > 0

    def train(self, k, batch):
        feed = {self.h: batch[:, :9], self.m: batch[:, 9:]}
        return self.session.run([self.costs[k], self.steps[k]], feed)[0]


class Replay(MemoryDNN):
    """Trains on mini-batches that were drawn elsewhere."""

    def draw(self, memory_counter):
        return self.samples[-1].astype(np.int32)


@pytest.fixture(scope="module")
def runs(network, published):
    """A function from Adam's parameters to candidates (frames, K, 9) and costs (training steps, K).

    First those of the graph, then those of MemoryDNN. Both have the same weights and mini-batches at first,
    one with the empty row 0, and remember what the graph finds best.
    """

    @functools.cache
    def run(learning_rate=0.01, beta1=0.09):
        net = Replay([9, 120, 80, 9], K, learning_rate, beta1=beta1, seed=0)
        graph = Graph(net.get_weights(), learning_rate=learning_rate, beta1=beta1)
        memory, counter, net.samples = np.zeros((1024, 18), np.float32), 1, []
        random, candidates, costs, ours = np.random.default_rng(1), [], [], []
        for d in published[0][:FRAMES]:
            h = RELEASED(d)
            candidates.append(graph.decode(h[None])[:, 0])
            ours.append(net.decode(h))
            x = candidates[-1][np.argmin(network.compute_Q(d, candidates[-1]))]
            memory[counter] = np.concatenate([h, x])
            counter += 1
            if counter >= 512 and counter % 10 == 0:
                net.samples.append(random.choice(counter, (K, 128)))
                net.samples[0][:, 0] = 0
                batches = enumerate(memory[net.samples[-1]])
                costs.append([graph.train(k, batch) for k, batch in batches])
            net.encode(h, x)
        return np.array(candidates), np.array(costs), np.array(ours), np.array(net.cost_his).T

    return run


def test_candidates_are_those_of_the_released_graph(runs):
    candidates, _, ours, _ = runs()
    assert 0.1 < candidates.mean() < 0.9
    np.testing.assert_array_equal(ours[:600], candidates[:600])  # after 9 training steps, too
    assert np.mean((ours != candidates).any(axis=-1)) < 0.01


def test_costs_are_those_of_the_released_graph(runs):
    _, costs, _, ours = runs()
    assert costs.shape == ours.shape == (20, K)
    apart = np.abs(ours / costs - 1)
    assert apart[0].max() < 1e-6 and apart[:5].max() < 1e-4
    # Rounding grows where Adam makes a full step of a gradient that is nearly 0: with some DNNs far.
    assert np.sum(apart.max(axis=0) < 1e-3) >= 0.8 * K


@pytest.mark.parametrize("beta1", [0.09, 0.9])
def test_costs_are_those_of_the_graph_with_smaller_steps(runs, beta1):
    _, costs, _, ours = runs(0.001, beta1)
    np.testing.assert_allclose(ours, costs, rtol=2e-6)
