"""The mistakes: a file of ours, the text that stands there once, and the text in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.simulation.trials import Trial

SOURCE = Path(__file__).parents[1] / "src"

KERNEL, GOLDEN, STORY, OFFICE = Trial.KERNEL, Trial.GOLDEN, Trial.STORY, Trial.OFFICE
INSIDE = (KERNEL, GOLDEN, STORY)
WHOLE = (GOLDEN, STORY)
TOLD = (STORY, GOLDEN)
DEALT = (OFFICE,)


@dataclass(frozen=True)
class Mutant:
    """One mistake. `hunters` are the trials that may find it, the cheapest first."""

    name: str
    file: str
    old: str
    new: str
    hunters: tuple[Trial, ...] = INSIDE

    @property
    def path(self) -> Path:
        """The file below the sources."""
        return Path("ordersync", self.file)

    def stands(self) -> int:
        """How often the old text stands in its file."""
        return (SOURCE / self.path).read_text(encoding="utf-8").count(self.old)


MUTANTS = (
    # --- truth -------------------------------------------------------------------------------
    Mutant(
        "a late open reopens what was final",
        "truth/merge.py",
        "return (1, precedence, standing.as_of, standing.word)",
        "return (0, standing.as_of, precedence, standing.word)",
    ),
    Mutant(
        "the last end that is told wins",
        "truth/merge.py",
        "return (1, precedence, standing.as_of, standing.word)",
        "return (1, standing.as_of, precedence, standing.word)",
    ),
    Mutant(
        "the last fills that are told win",
        "truth/merge.py",
        "filled_qty=_greater(a.filled_qty, b.filled_qty),",
        "filled_qty=a.filled_qty if b.filled_qty is None else b.filled_qty,",
    ),
    Mutant(
        "what is told twice is filled twice",
        "truth/merge.py",
        "filled_qty=_greater(a.filled_qty, b.filled_qty),",
        "filled_qty=(a.filled_qty or _ZERO) + (b.filled_qty or _ZERO),",
    ),
    Mutant(
        "an operator's epoch is ignored",
        "truth/merge.py",
        "if a.epoch != b.epoch:",
        "if False:",
    ),
    Mutant(
        "one absence is enough",
        "truth/evidence.py",
        "return case.count >= policy.count and endpoints >= policy.endpoints"
        " and case.spread >= spread",
        "return True",
    ),
    # --- the venue ---------------------------------------------------------------------------
    Mutant(
        "the time of an answer is taken from our clock",
        "venues/coinbase/venue.py",
        "        return self._site.clock.now()",
        "        return self._clock.now()",
        TOLD,
    ),
    Mutant(
        "a page that could not be read is the last one",
        "venues/coinbase/venue.py",
        "                listing.trouble = found\n",
        "",
        TOLD,
    ),
    Mutant(
        "the first page is the whole list",
        "venues/coinbase/venue.py",
        "if spared or not found.has_next:",
        "if True:",
        TOLD,
    ),
    Mutant(
        "the cursor is not sent",
        "venues/coinbase/venue.py",
        '            turned = [("cursor", cursor)] if cursor else []\n'
        "            answer = await self._get(HISTORY",
        "            turned: list[tuple[str, str]] = []\n"
        "            answer = await self._get(HISTORY",
        TOLD,
    ),
    Mutant(
        "a proxy's 404 is an empty page",
        "venues/asking.py",
        'return Unusable(why="no such page (404)", blame=Blame.GARBLED, raw=excerpt(answer.body))',
        'return decoder.decode(b\'{"orders": [], "has_next": false}\')',
        TOLD,
    ),
    Mutant(
        "an order that cannot be read is not there",
        "venues/coinbase/venue.py",
        "        left.difference_update(*(silence.orders for silence in listing.silences))\n",
        "",
        TOLD,
    ),
    Mutant(
        "a jump in the numbering is ignored",
        "venues/coinbase/user_channel.py",
        "if self._next is not None and message.number > self._next:",
        "if False:",
        WHOLE,
    ),
    Mutant(
        "a missing heartbeat is ignored",
        "venues/coinbase/user_channel.py",
        "if self._beat is not None and message.beat > self._beat + 1:",
        "if False:",
        TOLD,
    ),
    Mutant(
        "a message that cannot be read hides nothing",
        "venues/coinbase/user_channel.py",
        "return None, Heard(silences=(message,), missed=missed)",
        'return None, Heard(silences=(message,), missed="")',
        TOLD,
    ),
    # --- the stream --------------------------------------------------------------------------
    Mutant(
        "nobody watches for silence",
        "sync/stream.py",
        "quiet.reschedule(loop.time() + limit)",
        "quiet.reschedule(None)",
    ),
    Mutant(
        "the gap is not read after a reconnect",
        "sync/stream.py",
        "            # Subscribed first, then the gap is read;"
        " what comes meanwhile is merged all the same.\n            self._gap.set()\n",
        "            self._go_live()\n",
        TOLD,
    ),
    Mutant(
        "what may be missing is not asked for",
        "sync/stream.py",
        '        self._degrade(f"{why}.", about="gap")\n        self._gap.set()\n',
        "",
    ),
    Mutant(
        "a gap that nobody answered is read",
        "sync/stream.py",
        "if not report.was_answered:",
        "if False:",
        TOLD,
    ),
    Mutant(
        "what could not be written is not put back",
        "sync/stream.py",
        "                    if lost := self.backlog.put_back(load):\n"
        "                        self._miss(lost)\n"
        '                    about = "away" if isinstance(error, AskAgain) else "unwritable"\n'
        '                    self._degrade(f"what it says cannot be written: {error}",'
        " about=about)\n"
        "                    self._gap.set()\n",
        "",
    ),
    Mutant(
        "how an end was settled is not looked up",
        "sync/reconcile.py",
        "await self._ask_wanted(now)",
        "pass",
        TOLD,
    ),
    Mutant(
        "a change that was not told raises no doubt",
        "sync/stream.py",
        "                self._doubt.set()\n",
        "",
    ),
    Mutant(
        "of two reports that wait, the first is kept",
        "sync/backlog.py",
        "        if both == old:",
        "        if both:",
    ),
    # --- the passes --------------------------------------------------------------------------
    Mutant(
        "what is missing is canceled",
        "sync/ingest.py",
        "        if absences and absent is known.absent:\n",
        "        if absences and truth is not None:\n"
        "            from ordersync.truth.model import Standing, Status\n\n"
        "            gone = Standing(Status.CANCELED, truth.as_of)\n"
        "            truth = msgspec.structs.replace(truth, standing=gone)\n"
        "        if absences and absent is known.absent:\n",
    ),
    Mutant(
        "the account need not prove itself",
        "sync/proof.py",
        "    if not proves_itself and not accepted:",
        "    if False:",
    ),
    Mutant(
        "a write that failed was a success",
        "sync/ingest.py",
        "        if job.error is not None:\n            raise job.error\n",
        "",
    ),
    Mutant(
        "new rows are not looked for",
        "sync/reconcile.py",
        "await self._discover(now)",
        "pass",
    ),
    Mutant(
        "after an outage all goes on as if nothing had happened",
        "sync/reconcile.py",
        "            self.demand.put_back(readers)\n            raise\n",
        "            raise\n",
    ),
    # --- the database ------------------------------------------------------------------------
    Mutant(
        "the bot's row is overwritten unseen",
        "store/makes/sqlite.py",
        "WHERE t.{key} = ?1{same}{update.scope}",
        "WHERE t.{key} = ?1{update.scope}",
        TOLD,
    ),
    Mutant(
        "another's truth is overwritten unseen",
        "store/spelling.py",
        'return f"{text} WHERE o.version = excluded.version - 1" if upsert.versioned else text',
        "return text",
        TOLD,
    ),
    Mutant(
        "a change is written without its event",
        "store/advance.py",
        "        self._session.upsert(self._own.event, rows)\n",
        "",
        WHOLE,
    ),
    Mutant(
        "what failed half way is not rolled back",
        "store/advance.py",
        "            session.rollback()\n            raise\n",
        "            raise\n",
        TOLD,
    ),
    Mutant(
        "the row is written whatever became of the truth",
        "store/advance.py",
        "alive = [made for made in pending if made.known.key in standing]",
        "alive = pending",
        TOLD,
    ),
    Mutant(
        "the write does not look at the lease",
        "store/table_store.py",
        "session.held = self._held(lease) if lease is not None else None",
        "session.held = None",
        DEALT,
    ),
    Mutant(
        "the store is not told by which lease it writes",
        "sync/tenure.py",
        "            self._store.fence(self.account, lease)\n",
        "",
        DEALT,
    ),
    # --- those who deal with it --------------------------------------------------------------
    Mutant(
        "a correction is overwritten by an older report",
        "truth/merge.py",
        "if report.as_of <= order.corrected.at or repeats:",
        "if repeats:",
        (KERNEL,),
    ),
    Mutant(
        "what a person overruled counts when it is said again",
        "truth/merge.py",
        "if report.as_of <= order.corrected.at or repeats:",
        "if report.as_of <= order.corrected.at:",
        DEALT,
    ),
    Mutant(
        "an orphan is told of before its row had time to come",
        "sync/orphans.py",
        "before = self._clock.now() - self._rules.grace",
        "before = self._clock.now()",
        DEALT,
    ),
    Mutant(
        "nobody is told of an orphan",
        "sync/orphans.py",
        "rowless={k.key: note for k in orphans} if note else {}",
        "rowless={}",
        DEALT,
    ),
    Mutant(
        "a delivery is struck off before it is sent",
        "web/deliveries.py",
        "                    after = await self._send(subscription, one)\n",
        "                    await self._store.strike_off(\n"
        "                        subscription.subscription_id, [one.place], self._clock.now()\n"
        "                    )\n"
        "                    after = await self._send(subscription, one)\n",
        DEALT,
    ),
    Mutant(
        "what an address did not take was delivered",
        "web/deliveries.py",
        "if answered.is_taken:",
        "if True:",
        DEALT,
    ),
)
