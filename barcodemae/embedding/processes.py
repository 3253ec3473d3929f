"""Several processes that a launcher started (`accelerate launch -m barcodemae ...`) share one piece of work."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from barcodemae.errors import BarcodeMAEError

Block = TypeVar("Block")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """The processes that run this command.

    Attributes:
        rank: number of this one, from 0.
        count: how many there are.
    """

    rank: int
    count: int

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def together(self, work: Callable[[], Result]) -> Result:
        """Do something in every process. Where it fails in one, it fails in all: nobody waits for who is gone.

        Args:
            work: is called once in each.

        Returns:
            What it gave in this process.

        Raises:
            BarcodeMAEError: bad input, in this process or in another.
            RuntimeError: another process failed or ended.
        """
        if self.count == 1:
            return work()
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            failure = error
        # Errors themselves do not all survive the journey.
        told = self._tell_all(None if failure is None else (isinstance(failure, BarcodeMAEError), str(failure)))
        if failure is not None:
            raise failure
        for is_bad_input, message in filter(None, told):
            raise BarcodeMAEError(message) if is_bad_input else RuntimeError(f"another process failed: {message}")
        return result

    def share(self, blocks: Iterable[Block], work: Callable[[Block], Result]) -> Iterator[Result]:
        """Work on blocks, each process on its share.

        Every process must iterate, and over equal blocks. As many as there are processes are in memory at a time.

        Args:
            blocks: pieces of the work.
            work: done to each block, in one of the processes; what it gives must survive pickle.

        Yields:
            In the first process all results, in the order of the blocks; in the others none.

        Raises:
            BarcodeMAEError, RuntimeError: as from `together`.
        """
        ahead = iter(blocks)

        def work_on_own() -> tuple[int, Result | None]:
            turn = list(itertools.islice(ahead, self.count))
            return len(turn), work(turn[self.rank]) if self.rank < len(turn) else None

        while True:
            num_blocks, own = self.together(work_on_own)
            if num_blocks == 0:
                return
            yield from self._give_first(own)[:num_blocks]

    def _tell_all(self, thing: Any) -> list[Any]:
        """What each process has, in every process."""
        from torch import distributed

        things: list[Any] = [None] * self.count
        with _others_are_there():
            distributed.all_gather_object(things, thing)
        return things

    def _give_first(self, thing: Any) -> list[Any]:
        """What each process has, in the first; nothing in the others."""
        if self.count == 1:
            return [thing]
        from torch import distributed

        things: list[Any] | None = [None] * self.count if self.is_first else None
        with _others_are_there():
            distributed.gather_object(thing, things)
        return things or []


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The processes that were started beside this one, and this one; without a launcher, this one alone.

    Each takes a GPU of its own where there are as many. Only where there are several, torch is imported.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1)
        return
    import torch
    from accelerate.utils import parse_flag_from_env
    from torch import distributed

    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    # Not by NCCL: it waits for a process that is gone, where gloo finds the connection closed.
    distributed.init_process_group("gloo")
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


@contextmanager
def _others_are_there() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError("another process ended before the work was done") from error
