"""The URL as people may read it."""

import re

#: libpq takes a password between the user and the host, and as an option.
_PASSWORDS = (re.compile(r"(?<=://)([^:@/?]*:)[^@/?]*(?=@)"), re.compile(r"((?<=[?&])(?:ssl)?password=)[^&]*"))


def without_password(url: str, *, mask: str) -> str:
    """The URL with a mask in place of each password; everything else as it stands, several hosts too."""
    for password in _PASSWORDS:
        url = password.sub(lambda match: match[1] + mask, url)
    return url
