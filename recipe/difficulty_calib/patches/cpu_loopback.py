"""Nothing of a run on one machine listens to the network: Ray, TransferQueue, vLLM, torch's store.

TransferQueue and Ray unpickle what reaches their ports, so whoever reaches one runs code. verl
gives each of its servers the address that Ray knows its node by; here that is 127.0.0.1. What asks
elsewhere is told by the environment (`ADDRESSES`), and torch's store, which listens on every
address whatever it is given, gets a socket that is bound already.

A driver that joins a Ray of yours (`ray start`, several nodes) uses the addresses of that one. To
have Ray's own choice of address back: ``RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=1``.
"""

import os
import socket
import sys
from typing import Any

from recipe.difficulty_calib.patches import Patch

LOOPBACK = "127.0.0.1"
OF_RAY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's switch for a node that others can join; off by default where Ray spares desktops
a firewall's question.
"""
ADDRESSES = {OF_RAY: "0", "VLLM_HOST_IP": LOOPBACK, "GLOO_SOCKET_IFNAME": "lo"}


def set_addresses() -> None:
    """Put `ADDRESSES` into this process's environment, which its children
    inherit; what is set stays.

    Not where Ray has its own choice of address (`wanted`): other nodes must reach this one there.
    """
    if wanted():
        for name, value in ADDRESSES.items():
            os.environ.setdefault(name, value)


def wanted() -> bool:
    """Whether Ray is to stay on the loopback interface."""
    return os.environ.get(OF_RAY, "0") == "0"


def _apply_to_ray(module: Any) -> None:
    # Read at Ray's import, which may have come before this plugin's.
    if wanted():
        module.ENABLE_RAY_CLUSTER = False


def listening(port: int) -> socket.socket:
    """A socket that listens on the loopback interface; port 0 for any free one."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
        bound.listen(1024)
    except OSError:
        bound.close()
        raise
    return bound


def _apply_to_torch(module: Any) -> None:
    if not wanted():
        return
    stock = module.TCPStore

    class TCPStore(stock):  # type: ignore[misc, valid-type]
        """torch's, whose server listens on the loopback interface alone."""

        def __init__(self, host_name: str, port: int = 0, *args: Any, **kwargs: Any) -> None:
            serves = kwargs.get("is_master", args[1] if len(args) > 1 else False)
            if not serves or kwargs.get("master_listen_fd") is not None:
                super().__init__(host_name, port, *args, **kwargs)
                return
            own = listening(port)
            chosen = own.getsockname()[1]
            # The store closes it.
            super().__init__(LOOPBACK, chosen, *args, **kwargs, master_listen_fd=own.detach())

    for name in ("torch.distributed", "torch.distributed.rendezvous"):
        loaded = sys.modules.get(name)
        if getattr(loaded, "TCPStore", None) is stock:
            setattr(loaded, "TCPStore", TCPStore)  # noqa: B010  mypy knows no such attribute


RAY_PATCH = Patch(
    name="Ray on the loopback interface",
    module="ray._private.ray_constants",
    versions={"ray": ">=2.48,<3"},
    reason="Ray binds its servers to the machine's address, and so do verl's, which "
    "unpickle what they are sent",
    apply=_apply_to_ray,
)
TORCH_PATCH = Patch(
    name="torch's store on the loopback interface",
    module="torch.distributed",
    versions={"torch": "==2.13.*"},
    reason="a TCPStore listens on all addresses, whatever host it is given",
    apply=_apply_to_torch,
)
