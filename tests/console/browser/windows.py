"""What people do with a window."""

from dataclasses import dataclass

from playwright.sync_api import Page, expect

ADMIN = "admin@localhost"


@dataclass(frozen=True)
class Window:
    """A window of a browser, and the errors and questions that came up in it."""

    page: Page
    said: list[str]

    def sign_in(self, email: str, password: str) -> None:
        """Fill in the sign-in."""
        self.page.goto("/console/sign-in")
        self.page.get_by_label("E-mail address").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def unfold(self, summary: str) -> None:
        """Open what is folded away."""
        self.page.locator("summary", has_text=summary).first.click()

    def settle(self) -> None:
        """Wait until what came last listens to what is typed into it."""
        busy = ".htmx-request, .htmx-swapping, .htmx-added, .htmx-settling"
        expect(self.page.locator(busy)).to_have_count(0)

    def mark(self) -> None:
        """Write something on the page that is lost where it is loaded anew."""
        self.page.evaluate("window.isSame = true")

    def is_marked(self) -> bool:
        """Whether it is the same page still."""
        return bool(self.page.evaluate("window.isSame === true"))
