"""PyTorch as the backend of MemoryDNN, optional: requirements-torch.txt installs it."""

from ddlo import checks

try:
    import torch
except ImportError as error:
    raise ImportError(
        f"backend torch needs PyTorch (pip install -r requirements-torch.txt): {error}"
    ) from error

xp = torch
_device = "cpu"


def use_device(name=None):
    """Choose the device of the training steps, and return its name.

    `name` is CPU, GPU, or one of several GPUs such as GPU:1; default: a GPU if there is one. Raises
    ValueError if there is no such device.
    """
    global _device
    gpus = [f"GPU:{i}" for i in range(torch.cuda.device_count())]
    default = gpus[0] if gpus else "CPU"
    name = checks.device(default if name is None else name, ["CPU", *gpus])
    _device = name.lower().replace("gpu", "cuda")
    return name


def gather(rows, index):
    """Return rows (..., width) at an index (...)."""
    return rows[index]


def cross_entropy(labels, logits):
    """Return the sigmoid cross-entropy of each label and logit."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def gradients(function, weights):
    """Return costs (K,) = function(weights), and the gradients of their sum."""
    with torch.enable_grad():
        weights = [w.detach().requires_grad_() for w in weights]
        costs = function(weights)
        return costs.detach(), torch.autograd.grad(costs.sum(), weights)


def compiled(function):
    """Return a function that takes and returns tensors or NumPy arrays, also in lists."""

    def tensors(values):
        if isinstance(values, list):
            return [tensors(value) for value in values]
        return torch.as_tensor(values, device=_device)

    def call(*arguments):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the matrices are small: more threads take several times as long
        try:
            with torch.no_grad():
                return function(*map(tensors, arguments))
        finally:
            torch.set_num_threads(threads)

    return call
