"""A profile chosen for a device, and what a trial with it will take there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autoresearch.fit.estimates import Estimate, Model, computed, memory_of
from autoresearch.fit.profiles import Device, Profile, changed, choose


@dataclass(frozen=True, slots=True)
class Fitting:
    """A device, and the profile that was chosen for it."""

    device: Device
    profile: Profile

    @classmethod
    def of(cls, device: Device, name: str | None, sets: Iterable[str]) -> Fitting:
        """Returns the device's own profile or the one named, with single values set.

        Raises UsageError for a name or a value that is wrong.
        """
        return cls(device, changed(choose(device, name), sets))

    @property
    def estimate(self) -> Estimate:
        """The time of a trial, before anything has run."""
        profile = self.profile
        return computed(profile.knobs, profile.settings, self.device, profile.tflops)

    def lines(self) -> Iterator[str]:
        """Yields what was chosen and what it will take, before anything has run."""
        profile, device = self.profile, self.device
        model = Model.of(profile.knobs, profile.settings)
        peak_mb, fits = memory_of(profile.knobs, profile.settings, device)
        size = f"{model.parameters / 1e6:.1f} M parameters, about {peak_mb} MB at its peak"
        yield f"profile {profile.name} for {device.words()}: {size}"
        if device.kind == "cuda" and choose(device).kind == "cpu":
            yield "notice: that is less than the smallest profile for a GPU needs"
        yield f"estimate: {self.estimate.words(profile.timeout_s)}"
        if not fits:
            yield (
                f"warning: about {peak_mb} MB is too much for {device.memory_mb} MB: lower DEVICE_BATCH "
                "or DIM, or take a smaller profile"
            )
        warning = self.estimate.warning(profile.timeout_s)
        if warning:
            yield f"warning: {warning}"
