"""Lets a CUDA build of torchvision be imported beside a CPU build of torch.

On Linux the package registry's torchvision wheel is the CUDA build. Beside a CPU torch its C++
operators do not load, and ``import torchvision`` then dies with "operator torchvision::nms does
not exist", because its Python code registers shape functions for two operators that nobody
declared. Declaring the two schemas first is enough: nothing of ours, of transformers' or of vLLM's
calls the operators. A CPU build of torchvision declares them itself and is left alone.

`examples/setup.sh` copies this module into a CPU environment's site-packages together with a
``.pth`` file that imports it when an interpreter starts, so that Ray workers and vLLM's engine
processes have it too. Hence the rules here: no import of torch before torchvision's own code
runs, and never an exception.
"""

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

_libraries: list[
    object
] = []  # a torch.library.Library takes its declarations back when it is collected


def declare_schemas(torchvision_folder: str) -> bool:
    """Declare the two operators if torch is a CPU build and the torchvision in
    this folder a CUDA build.

    Returns whether it did; a second call declares nothing. Raises nothing.
    """
    try:
        import torch

        if _libraries or torch.version.cuda is not None or not is_cuda_build(torchvision_folder):
            return False
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in SCHEMAS:
            library.define(schema)
        _libraries.append(library)
        return True
    except Exception:
        # torchvision's own import then tells what is wrong, better than a start-up hook could
        return False


def is_cuda_build(torchvision_folder: str) -> bool:
    """Whether the torchvision in this folder says in its version.py that it was built for
    CUDA (``0.28.0+cu130``).
    """
    with open(f"{torchvision_folder}/version.py", encoding="utf-8") as file:
        version_line = next((line for line in file if line.startswith("__version__")), "")
    return "+cu" in version_line


class _TorchvisionFinder(importlib.abc.MetaPathFinder):
    """Finds torchvision where Python finds it anyway, and has the schemas declared when its
    code is about to run.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The stock spec, with one step put before the loader's; None for any other module."""
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None or not spec.submodule_search_locations:
            return None
        folder, stock_exec = spec.submodule_search_locations[0], spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            declare_schemas(folder)
            stock_exec(module)

        # On the loader object, not a loader of our own: tools ask what class it is.
        vars(spec.loader)["exec_module"] = exec_module
        return spec


def install() -> None:
    """Put the finder before Python's own, once."""
    if not any(isinstance(finder, _TorchvisionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TorchvisionFinder())


install()
