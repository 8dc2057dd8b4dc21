"""The optional backend PyTorch beside TensorFlow: not in the paper."""

from importlib.util import find_spec

import numpy as np
import pytest

import main
from ddlo.candidates import Flips
from main import Parameters
from memory import MemoryDNN

from ..conftest import python
from .reference import assert_same_arrays

installed = find_spec("torch") is not None
needs_torch = pytest.mark.skipif(
    not installed, reason="PyTorch, which is optional, is not installed"
)
DIFFERENT = [[9, 120, 80, 9], [9, 60, 40, 9], [9, 30, 20, 9]]
SHARED = {"net": [3, 120, 80, 3], "shared": 3}


@pytest.mark.skipif(installed, reason="PyTorch is installed")
def test_missing_pytorch_is_named(tmp_path):
    out = tmp_path / "out"
    code, _, err = python("main.py", "--backend", "torch", "--frames", "600", "--out", out)
    assert code == 1 and len(err.splitlines()) == 1 and "requirements-torch.txt" in err
    assert not out.exists()


def some_entries():
    random = np.random.default_rng(1)
    return 10.0 * random.integers(10, 31, (999, 9)) - 200, random.integers(0, 2, (999, 9))


def both(net=(9, 120, 80, 9), net_num=3, **options):
    """Return MemoryDNNs on TensorFlow and PyTorch, with the same entries in their memory."""
    found = [MemoryDNN(net, net_num, backend=each, **options) for each in ("tensorflow", "torch")]
    for each in found:
        each.remember(*some_entries())
    return found


# Adam divides by the size of a gradient: where that is rounding noise, or where a neuron is at 0, steps differ
# visibly. The seeds below have few such weights in 20 steps.


@needs_torch
@pytest.mark.parametrize(
    ("options", "seed"),
    [({}, 1), ({"net_num": 10}, 0), ({"net": DIFFERENT}, 1), (SHARED, 0), ({"beta1": 0.9}, 1)],
)
def test_a_training_step_is_that_of_tensorflow(options, seed):
    reference, net = both(seed=seed, **options)
    assert_same_arrays(reference.get_weights(), net.get_weights())
    for _ in range(20):
        *layers, powers = reference.state
        net.raw_state = [*([w.copy() for w in each] for each in layers), powers.copy()]
        for each in (reference, net):
            each.learn()  # on the same mini-batches, as both draw alike
        for ours, other in zip(reference.state[0], net.state[0]):
            np.testing.assert_allclose(other, ours, rtol=0, atol=2e-5)
        for ours, other in zip(reference.state[1], net.state[1]):  # the gradients
            np.testing.assert_allclose(other, ours, rtol=0, atol=5e-6 * np.abs(ours).max())
        np.testing.assert_array_equal(net.state[3], reference.state[3])
    np.testing.assert_allclose(net.cost_his, reference.cost_his, rtol=0, atol=2e-5)


@needs_torch
def test_a_model_of_one_backend_continues_with_the_other(tmp_path):
    nets = both(seed=1, candidates=Flips(3))
    h = some_entries()[0][:50]
    for k, backend in enumerate(("torch", "tensorflow")):
        nets[k].learn()
        nets[k].save(tmp_path / "net")
        other = MemoryDNN.load(tmp_path / "net", backend=backend)
        assert_same_arrays(other.get_weights(), nets[k].get_weights())
        np.testing.assert_array_equal(other.decode(h), nets[k].decode(h))
        for net in (nets[k], other):
            net.learn()
        for ours, loaded in zip(nets[k].get_weights(), other.get_weights()):
            np.testing.assert_allclose(loaded, ours, rtol=0, atol=2e-5)


@needs_torch
def test_same_seed_same_run_without_tensorflow(tmp_path):
    """A run in a fresh process gives the bits of another one, and does not import TensorFlow."""
    code = (
        "import sys, main; r = main.run(main.Parameters(backend='torch', frames=1500, shared=True, "
        "recombine=True, out=sys.argv[1])); assert 'tensorflow' not in sys.modules; "
        "print(r['mean_gain_ratio'])"
    )
    for name in "ab":
        result, _, err = python("-c", code, tmp_path / name)
        assert (result, err) == (0, "")
    first, second = (MemoryDNN.load(tmp_path / name / "model.npz") for name in "ab")
    assert_same_arrays(first.get_weights(), second.get_weights())
    assert len(first.cost_his[0]) == 99


@needs_torch
def test_resumed_run_keeps_its_backend(tmp_path):
    main.run(Parameters(backend="torch", frames=600, checkpoint=550, out=tmp_path / "half"))
    model = tmp_path / "half/model.npz"
    main.run(Parameters(resume=model, frames=300, out=tmp_path / "more"))
    assert '"backend": "torch"' in (tmp_path / "more/parameters.json").read_text()
    main.run(Parameters(resume=model, frames=300, out=tmp_path / "tf", backend="tensorflow"))
    assert '"backend": "tensorflow"' in (tmp_path / "tf/parameters.json").read_text()


@needs_torch
def test_gain_ratio_of_a_short_run_is_that_of_tensorflow_within_the_spread_of_seeds(tmp_path):
    ratios = {
        backend: [
            main.run(Parameters(backend=backend, frames=4000, seed=seed, out=tmp_path / "out"))[
                "mean_gain_ratio"
            ]
            for seed in range(3)
        ]
        for backend in ("tensorflow", "torch")
    }
    assert min(map(min, ratios.values())) > 0.9643  # the best fixed decision
    spread = max(ratios["tensorflow"]) - min(ratios["tensorflow"])
    assert abs(np.mean(ratios["torch"]) - np.mean(ratios["tensorflow"])) < spread


@needs_torch
def test_wrong_device_is_refused(tmp_path):
    with pytest.raises(ValueError, match="device.*TPU"):
        main.run(Parameters(backend="torch", device="TPU", out=tmp_path / "out"))


def test_unknown_backend_is_refused(tmp_path):
    with pytest.raises(ValueError, match="backend.*tensorflow, torch"):
        main.run(Parameters(backend="jax", out=tmp_path / "out"))
