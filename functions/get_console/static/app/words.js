// The words of the console: one catalogue per language, loaded when it is needed.

export const LANGUAGES = { en: "English", de: "Deutsch" };

const current = { language: "en", words: {}, plural: new Intl.PluralRules("en") };

/**
 * Choose the language: the one of the address, else of the preferences, else of the browser.
 * @param {(string | null | undefined)[]} wanted tags such as "de-AT", most wanted first
 */
export function chosenLanguage(wanted) {
  for (const tag of wanted) {
    const name = tag?.toLowerCase().split("-")[0];
    // Not "in": an address may ask for "constructor".
    if (name === "pseudo" || Object.hasOwn(LANGUAGES, name ?? "")) return name;
  }
  return "en";
}

/** Load a catalogue and use it; raise if it cannot be loaded. */
export async function useLanguage(language) {
  const file = language === "pseudo" ? "en" : language;
  const response = await fetch(new URL(`../words/${file}.json`, import.meta.url));
  if (!response.ok) throw new Error(`The words of ${file} are not there: ${response.status}`);
  const words = await response.json();
  current.words = language === "pseudo" ? pseudo(words) : words;
  current.language = language;
  current.plural = new Intl.PluralRules(file);
  document.documentElement.lang = file;
}

export const language = () => current.language;

// Format characters except joiners: in a sentence they would reorder our own words.
const FORMAT = /(?![\u200c\u200d])\p{Cf}/gu;

/** Return a text of the catalogue with its placeholders filled; `count` chooses the plural form. */
export function t(key, values = {}) {
  const entry = current.words[key];
  if (entry === undefined) return key;
  const text =
    typeof entry === "string" ? entry : (entry[current.plural.select(values.count)] ?? entry.other);
  return text.replace(/\{(\w+)\}/g, (whole, name) =>
    String(values[name] ?? whole).replace(FORMAT, ""));
}

/** Return the first of several texts that the catalogue has, else the last key's own end. */
export function tFirst(keys, values) {
  const found = keys.find((key) => key in current.words);
  return found ? t(found, values) : keys.at(-1).split(".").at(-1);
}

const ACCENTS = { a: "á", e: "é", i: "í", o: "ó", u: "ú", A: "Á", E: "É", I: "Í", O: "Ó", U: "Ú" };

/** Make a catalogue for tests: accents, brackets, 40 % longer; placeholders stay. */
export function pseudo(words) {
  const one = (text) => {
    const accented = text.replace(/\{\w+\}|[aeiouAEIOU]/g, (part) => ACCENTS[part] ?? part);
    return `[${accented}${" ~~~".repeat(Math.ceil(text.length / 10))}]`;
  };
  const each = (entry) =>
    typeof entry === "string"
      ? one(entry)
      : Object.fromEntries(Object.entries(entry).map(([form, text]) => [form, one(text)]));
  return Object.fromEntries(Object.entries(words).map(([key, entry]) => [key, each(entry)]));
}
