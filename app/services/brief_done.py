"""What was done in the month: alerts and tasks of the brief's scope, as the loop's health tells them."""

from __future__ import annotations

from app.api.brief_models import BriefSentence
from app.services.brief_facts import Facts
from app.services.brief_say import Templates


def sentences(say: Templates, facts: Facts) -> list[BriefSentence]:
    """Sentences about alerts and tasks; one that says so when there are none."""
    return [say.say("no_loop", facts.page(facts.scope_code))]
