// What does not wait for the modules. Classic, so that it runs before anything is drawn.

// What a person chose of the colours beats the system, and nothing flashes.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("ordersync.theme");
  } catch {
    // Storage may be forbidden: then the system decides.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}

// The first rows are on their way while the code is, which takes them over: takeFirst in api.js.
{
  let token = null;
  try {
    token = sessionStorage.getItem("ordersync.token");
  } catch {
    // As above: there is no token from before.
  }
  const headers = { accept: "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const answer = fetch("api/v1/orders?limit=100", { headers, signal: AbortSignal.timeout(20000), cache: "no-store", credentials: "omit" });
  answer.catch(() => {}); // whoever takes it over says so
  window.firstRows = { answer, at: Date.now() };
}
