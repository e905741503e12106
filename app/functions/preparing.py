"""What a compile worker does beside its work, for as long as it runs: it builds what compilations share, keeps what
functions share, and says how far it is.
"""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import NoReturn

import structlog

from app.functions import artifacts, languages
from app.platform import Platform
from app.toolchains import LANGUAGES, SharedModule, State, ToolchainError, jail_readiness
from app.toolchains.jail import JailError

log = structlog.get_logger()


def serve(platform: Platform, worker: str) -> NoReturn:
    """Prepare the languages, keep what their functions share, and go on saying how far they are for as long as the
    worker runs; what is installed or replaced meanwhile is prepared, too.
    """
    if reason := jail_readiness().reason:
        log.error("jail.unsound", reason=reason)
    failed: Mapping[str, str] = {}
    while True:
        failed = prepare(platform, worker, failed)
        keep_shared(platform)
        time.sleep(languages.REPORT_SECONDS)


def prepare(platform: Platform, worker: str, before: Mapping[str, str] = MappingProxyType({})) -> Mapping[str, str]:
    """Build what the compilations of each language share, one language after the other, and say how far they are;
    answers for which that failed, and why. Those for which it failed `before` are left alone.
    """
    failed = dict(before)
    languages.report(platform, worker, failed)
    for name, language in LANGUAGES.items():
        if name not in failed and language.readiness(platform.toolchains).state is State.PREPARING:
            began = time.monotonic()
            try:
                language.prepare(platform.toolchains)
            except (ToolchainError, JailError, OSError) as error:
                log.exception("language.failed", language=name)
                failed[name] = f"It could not be prepared on this machine: {error}"
            else:
                log.info("language.prepared", language=name, seconds=round(time.monotonic() - began, 1))
            languages.report(platform, worker, failed)
    return failed


def keep_shared(platform: Platform) -> Mapping[SharedModule, str]:
    """Have the modules that functions will share among the artifacts, whether or not a function needs them yet; answers
    their digests. What fails here, the first function that needs it brings along.
    """
    kept: dict[SharedModule, str] = {}
    for name, language in LANGUAGES.items():
        if language.readiness(platform.toolchains).state is not State.READY:
            continue
        module = language.shared_module(platform.toolchains)
        if module is None or module in kept:
            continue
        try:
            kept[module] = artifacts.share(platform, module)
        except Exception:
            log.exception("language.module_not_kept", language=name)
    return kept
