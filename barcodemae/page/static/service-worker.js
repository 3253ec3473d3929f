// Stores all files of the page when it is first loaded, so that it works offline; a new version is used as soon as no
// tab shows the old one, so that the files of two versions are never mixed.

importScripts("files.js");

const CACHE = `barcodemae-page-${self.registration.scope}-`;
const CURRENT = CACHE + self.PAGE.version;

self.addEventListener("install", (event) => {
  const files = ["./", ...self.PAGE.files].map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(CURRENT).then((cache) => cache.addAll(files)));
});

self.addEventListener("activate", (event) => {
  const removed = caches.keys().then((keys) => {
    return Promise.all(keys.filter((key) => key.startsWith(CACHE) && key !== CURRENT).map((key) => caches.delete(key)));
  });
  event.waitUntil(removed.then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const stored = caches.open(CURRENT).then((cache) => cache.match(event.request, { ignoreSearch: true }));
  event.respondWith(stored.then((response) => response ?? fetch(event.request)));
});
