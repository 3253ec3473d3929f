"""A headless browser that shows a page, gives it a file, and sends what the page offers to download to the test.

The page is driven by another one of the same server, which shows it in a frame; so no driver is installed. Chromium and
its kin are looked for on the path.
"""

import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

_DRIVER = """<!DOCTYPE html>
<meta charset="utf-8">
<iframe id="frame" src="page/index.html" width="1000" height="800"></iframe>
<script type="module">
const frame = document.getElementById("frame");
const pause = () => new Promise((done) => setTimeout(done, 20));
async function until(isDone) {
  let found;
  while (!(found = isDone())) await pause();
  return found;
}
const find = (id) => frame.contentDocument?.getElementById(id);
const send = (path, body) => fetch(path, { method: "POST", body });

async function identify(text, name) {
  await until(() => find("main") && !find("main").hidden);
  const files = new DataTransfer();
  files.items.add(new File([text], name));
  delete frame.contentDocument.body.dataset.state;
  find("files").files = files.files;
  find("files").dispatchEvent(new Event("change"));
  await until(() => frame.contentDocument.body?.dataset.state === "finished");
  if (!find("error").hidden) return `error: ${find("error").textContent}`;
  let blob;
  frame.contentWindow.URL.createObjectURL = (given) => (blob = given);
  frame.contentWindow.HTMLAnchorElement.prototype.click = () => {}; // a download
  find("download").click();
  return blob.text();
}

try {
  const text = await (await fetch("queries")).text();
  await send("result/file", await identify(text, "queries.fasta"));
  find("table").querySelector("button.id").click();
  await send("result/detail", (await until(() => find("table").querySelector(".alignment"))).textContent);
  await send("result/empty", await identify("", "empty.fasta"));
  await until(() => !find("offline").hidden);
  await send("stop", "");
  frame.contentWindow.isOld = true;
  frame.contentWindow.location.reload();
  await until(() => !frame.contentWindow.isOld);
  await send("result/offline", await identify(text, "queries.fasta"));
} catch (error) {
  await send("result/failed", `${error}`);
}
</script>
"""


def find_browser() -> str | None:
    """The path of a browser, None if there is none on this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Shown:
    """What a page shows and asks of its server.

    Attributes:
        requested: paths that the page requested, in their order.
    """

    def __init__(self) -> None:
        self.requested: list[str] = []
        self._results: queue.Queue[tuple[str, str]] = queue.Queue()

    def put(self, name: str, text: str) -> None:
        self._results.put((name, text))

    def result(self, name: str, seconds: float = 300) -> str:
        """The next result, which has to have this name."""
        found, text = self._results.get(timeout=seconds)
        assert found == name, text
        return text


@contextmanager
def shown_in_browser(browser: str, page: Path, queries: str) -> Iterator[Shown]:
    """Show a page in a browser, and identify queries there; then again when the server has been stopped.

    Args:
        browser: its path.
        page: folder of the page.
        queries: content of a file of sequences.

    Yields:
        The results `file` and `offline`, TSV; `detail`, the text of the first query's alignment; and `empty`, the
        message for an empty file.
    """
    shown = Shown()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, shown, queries, directory=str(page)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
        address = f"http://127.0.0.1:{server.server_port}/driver"
        process = subprocess.Popen([browser, *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield shown
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
            server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    """Serves the driver, the queries and the page in `/page/`; after `/stop`, nothing of the page."""

    stopped: set[int] = set()  # noqa: RUF012 - ports of servers that are stopped

    def __init__(self, shown: Shown, queries: str, *arguments: object, directory: str):
        self._shown = shown
        self._texts = {"/driver": _DRIVER, "/queries": queries}
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path in self._texts:
            content = self._texts[path].encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if path == "/driver" else "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        elif path.startswith("/page/") and self.server.server_address[1] not in self.stopped:  # type: ignore[index]
            self._shown.requested.append(self.path.removeprefix("/page/"))
            self.path = self.path.removeprefix("/page")
            super().do_GET()
        else:
            self.send_error(503)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/stop":
            self.stopped.add(self.server.server_address[1])  # type: ignore[index]
        else:
            self._shown.put(self.path.removeprefix("/result/"), body)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass
