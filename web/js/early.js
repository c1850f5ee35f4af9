/** Before the first paint: the theme and the language that were chosen here, or that the system asks for.
 * A classic script, since no module holds the first paint back in every browser. */

{
  const LANGUAGES = ['en', 'de'];
  const root = document.documentElement;

  /** @param {string} name as storage.js keeps it; importing that would put a second request before the first paint */
  function kept(name) {
    try {
      return JSON.parse(localStorage.getItem(`pinch.${name}`) ?? 'null');
    } catch {
      return null;
    }
  }

  const theme = kept('theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const wanted = [kept('language'), ...navigator.languages.map((each) => each.slice(0, 2))];
  const language = wanted.find((each) => LANGUAGES.includes(each)) ?? 'en';
  root.lang = language;
  // The page is written in English; any other language is shown when its sentences are there.
  if (language !== 'en') root.dataset.waiting = '';
}
