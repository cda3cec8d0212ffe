// Before the first paint, so that nothing flashes. What a person chose here beats the system.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("ordersync.theme");
  } catch {
    // Storage may be forbidden: then the system decides.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
