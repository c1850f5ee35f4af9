/** Sets the theme and the language before the first paint: those chosen here before, or those of the system.
 * It is a classic script because not every browser delays the first paint for a module. */

{
  const LANGUAGES = ['en', 'de'];
  const root = document.documentElement;

  /** @param {string} name as in storage.js; importing that would add a second request before the first paint */
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
  // The page is written in English. For any other language it stays hidden until the sentences are loaded.
  if (language !== 'en') root.dataset.waiting = '';
}
