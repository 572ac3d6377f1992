"""Train the demo model on the synthetic corpus, on a CPU, within a budget of seconds.

    python train.py --out run --seconds 4200

Everything that is needed to go on after a crash is in `OUT/checkpoint.pt`; the same command
resumes. SIGTERM saves first.
"""

from __future__ import annotations

import argparse
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

import corpus
from model import DemoModel, Shape
from muon import Muon
from tokens import PAD, Encoder, train_tokenizer

TOKENS_PER_STEP = 6144
DOCUMENTS_PER_CHUNK = 4000
MUON_LR, ADAM_LR = 0.02, 0.004
WARMUP_STEPS = 60
DECAY_FROM = 0.30  # the share of the budget after which the learning rates fall to zero
EARLY_UNTIL = 0.12  # until then: copy drills above all
ROWS = ((0.0, 256), (0.62, 512), (0.90, 1024))  # (share of the budget, row length from there on)
LONG_ROW = ROWS[-1][1]
AVERAGE_OVER = 0.998  # the share of the running average of the weights that each step keeps
SAVE_EVERY_SECONDS = 120.0
LONGEST_STEP_SECONDS = 5.0  # a longer one was compiling, or the process was stopped: that is no training time


@dataclass
class Progress:
    """Where a run stands; saved with the weights."""

    seconds: float = 0.0
    step: int = 0
    chunk: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Row:
    """One packed row: ids, the weight of each id as a target, and the number of the document that it is from."""

    ids: list[int]
    weights: list[float]
    owners: list[int]


def encode(encoder: Encoder, document: corpus.Document) -> tuple[list[int], list[float]]:
    ids: list[int] = []
    weights: list[float] = []
    for text, weight in document.parts:
        part = encoder.encode(text)
        ids += part
        weights += [weight] * len(part)
    return ids, weights


def pack(encoded: list[tuple[list[int], list[float]]], length: int, rng: random.Random) -> list[Row]:
    """Whole documents into rows of `length` + 1 ids, longest first into the fullest row that still has space."""
    rows: list[Row] = []
    open_rows: list[Row] = []
    for ids, weights in sorted(encoded, key=lambda item: -len(item[0])):
        if len(ids) > length + 1:
            continue
        row = next((row for row in open_rows if len(row.ids) + len(ids) <= length + 1), None)
        if row is None:
            row = Row([], [], [])
            rows.append(row)
            open_rows.append(row)
        row.owners.extend([row.owners[-1] + 1 if row.owners else 0] * len(ids))
        row.ids.extend(ids)
        # The first id of a document follows from nothing, least of all from the document before.
        row.weights.extend([0.0, *weights[1:]])
        open_rows = [row for row in open_rows if len(row.ids) < length - 12][-200:]
    for row in rows:
        missing = length + 1 - len(row.ids)
        row.ids.extend([PAD] * missing)
        row.weights.extend([0.0] * missing)
        row.owners.extend([-1] * missing)
    rng.shuffle(rows)
    return rows


@dataclass(frozen=True)
class Batch:
    inputs: Tensor
    targets: Tensor
    weights: Tensor
    mask: Tensor


def as_batch(rows: list[Row]) -> Batch:
    ids = torch.tensor([row.ids for row in rows])
    weights = torch.tensor([row.weights for row in rows])
    owners = torch.tensor([row.owners[:-1] for row in rows])
    length = owners.shape[1]
    same = owners[:, None, :, None] == owners[:, None, None, :]
    mask = same & torch.ones(length, length, dtype=torch.bool).tril()
    return Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), weights[:, 1:].contiguous(), mask)


class Feed:
    """Endless batches; which ones depends only on the seed and on where the run stands."""

    def __init__(self, encoder: Encoder, seed: int, progress: Progress, share_done: Callable[[], float]) -> None:
        self._encoder, self._seed, self._progress, self._share_done = encoder, seed, progress, share_done

    def __iter__(self) -> Iterator[Batch]:
        while True:
            share = self._share_done()
            length = row_length(share)
            mix = (
                corpus.EARLY_MIX if share < EARLY_UNTIL else corpus.LONG_MIX if length > ROWS[0][1] else corpus.MAIN_MIX
            )
            chunk = self._progress.chunk
            texts = corpus.documents(self._seed, chunk, DOCUMENTS_PER_CHUNK, mix)
            rows = pack(
                [encode(self._encoder, text) for text in texts], length, random.Random(f"{self._seed}/{chunk}/rows")
            )
            count = TOKENS_PER_STEP // length
            for start in range(0, len(rows) - count + 1, count):
                yield as_batch(rows[start : start + count])
            self._progress.chunk += 1


def row_length(share_done: float) -> int:
    return next(length for share, length in reversed(ROWS) if share_done >= share)


def learning_rate_factor(step: int, share_done: float) -> float:
    return min(1.0, (step + 1) / WARMUP_STEPS) * min(1.0, max(0.0, 1 - share_done) / (1 - DECAY_FROM))


def prepare_tokenizer(path: Path, seed: int) -> Tokenizer:
    if not path.exists():
        train_tokenizer(document.text for document in corpus.documents(seed, -1, 20_000)).save(str(path))
    return Tokenizer.from_file(str(path))


def save(path: Path, state: dict[str, object]) -> None:
    """Write beside, then rename: a crash leaves the old checkpoint or the new one, never half of one."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def train(out: Path, seconds: float, seed: int, compiled: bool, resume_from: Path | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    encoder = Encoder(prepare_tokenizer(out / "tokenizer.json", seed))
    shape = Shape()
    model = DemoModel(shape)
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("blk.")]
    others = [p for name, p in model.named_parameters() if not (p.dim() == 2 and name.startswith("blk."))]
    muon = Muon(matrices, lr=MUON_LR)
    adam = torch.optim.AdamW(others, lr=ADAM_LR, betas=(0.9, 0.97), weight_decay=0.0)
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    progress = Progress()
    checkpoint = out / "checkpoint.pt"
    source = checkpoint if checkpoint.exists() else resume_from
    if source is not None:
        state = torch.load(source, weights_only=True)
        model.load_state_dict(state["model"])
        average = state.get("average") or {name: tensor.clone() for name, tensor in state["model"].items()}
        muon.load_state_dict(state["muon"])
        adam.load_state_dict(state["adam"])
        progress = Progress(**state["progress"])
        if source != checkpoint:
            progress.seconds = 0.0
    print(f"{sum(p.numel() for p in model.parameters())} parameters, from step {progress.step}", flush=True)

    def batch_loss(inputs: Tensor, targets: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(inputs, mask)
        losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        flat = weights.flatten()
        return (losses * flat).sum() / flat.sum()

    loss_of = torch.compile(batch_loss, dynamic=False) if compiled else batch_loss

    def share_done() -> float:
        return min(1.0, progress.seconds / seconds)

    def snapshot() -> dict[str, object]:
        return {"model": model.state_dict(), "average": average, "muon": muon.state_dict(), "adam": adam.state_dict(),
                "progress": asdict(progress), "shape": asdict(shape), "seed": seed}  # fmt: skip

    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    recent: list[float] = []
    saved_at = progress.seconds
    clock = time.monotonic()
    for batch in Feed(encoder, seed, progress, share_done):
        factor = learning_rate_factor(progress.step, share_done())
        for optimizer, base in ((muon, MUON_LR), (adam, ADAM_LR)):
            for group in optimizer.param_groups:
                group["lr"] = base * factor
        loss = loss_of(batch.inputs, batch.targets, batch.weights, batch.mask)
        muon.zero_grad()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step()
        adam.step()
        torch._foreach_lerp_(list(average.values()), list(model.state_dict().values()), 1 - AVERAGE_OVER)
        progress.step += 1
        progress.tokens += batch.inputs.numel()
        now = time.monotonic()
        progress.seconds += min(now - clock, LONGEST_STEP_SECONDS)
        clock = now
        recent.append(loss.item())
        if progress.step % 50 == 0:
            mean = sum(recent[-50:]) / len(recent[-50:])
            done = f"step {progress.step} seconds {progress.seconds:.0f} tokens {progress.tokens}"
            print(f"{done} loss {mean:.4f} lr {factor:.3f}", flush=True)
        if progress.seconds - saved_at > SAVE_EVERY_SECONDS:
            save(checkpoint, snapshot())
            saved_at = progress.seconds
        if progress.seconds >= seconds or stopping:
            break
    save(checkpoint, snapshot())
    print(f"done: {progress}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=4200.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--resume-from", type=Path, help="start from this checkpoint with a fresh budget (fine-tuning)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.out, options.seconds, options.seed, not options.no_compile, options.resume_from)


if __name__ == "__main__":
    main()
