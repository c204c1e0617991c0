"""The trials that Optuna's samplers look at: in memory, without clocks and copies, and with a way back.

Nothing but the adapter imports this module, because it imports Optuna.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

STUDY = "study"
REFUSAL = (
    "a sampler here is asked for one decision at a time; this one begins, ends or changes trials and studies "
    "by itself: take another sampler, or run it in a study of Optuna's"
)


class Trials(BaseStorage):
    """A storage of one study whose trials are numbered from 0 and changed in place."""

    def __init__(self) -> None:
        self.trials: list[FrozenTrial] = []
        self.directions = [StudyDirection.MAXIMIZE]
        self.attributes: dict[str, Any] = {}

    def add(self) -> FrozenTrial:
        """Begin a trial without parameters."""
        number = len(self.trials)
        trial = FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=None,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        self.trials.append(trial)
        return trial

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Forget, at the end, trials that were begun inside and what was noted of the study."""
        count, attributes = len(self.trials), dict(self.attributes)
        try:
            yield
        finally:
            del self.trials[count:]
            self.attributes = attributes

    # ------------------------------------------------------------ what samplers call

    def get_all_trials(
        self,
        study_id: int,  # noqa: ARG002 - there is one study
        deepcopy: bool = True,  # noqa: ARG002 - samplers ask for no copies
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials themselves, in order."""
        if states is None:
            return list(self.trials)
        return [trial for trial in self.trials if trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        return self.trials[trial_id]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Let a sampler note something of a trial."""
        self.trials[trial_id].system_attrs[key] = value

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:  # noqa: ARG002
        """Return what samplers noted of the study."""
        return self.attributes

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: ARG002
        """Let a sampler note something of the study."""
        self.attributes[key] = value

    def get_study_id_from_name(self, study_name: str) -> int:  # noqa: ARG002
        """Return the number of the one study."""
        return 0

    def get_study_name_from_id(self, study_id: int) -> str:  # noqa: ARG002
        """Return the name of the one study."""
        return STUDY

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:  # noqa: ARG002
        """Return the directions: values here are always maximised."""
        return self.directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:  # noqa: ARG002
        """Return nothing: no user is there to note anything."""
        return {}

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Let something be noted of a trial that samplers do not read."""
        self.trials[trial_id].user_attrs[key] = value

    # ------------------------------------------------------------ what nobody calls here

    def _refuse(self, *_: Any, **__: Any) -> Any:
        """Refuse what only a study of Optuna's does: trials begin by `add`, and are changed in place."""
        raise NotImplementedError(REFUSAL)

    create_new_study = delete_study = get_all_studies = set_study_user_attr = _refuse
    create_new_trial = set_trial_param = set_trial_state_values = set_trial_intermediate_value = _refuse
