// Times: absolute in the user's zone, and relative to now. All functions are pure.

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
export const MINUTE = 60_000;
const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", MINUTE],
  ["second", 1000],
];

/** "Fri 27 Nov, 08:01" in a zone; with the year if it is another one than now's. */
export function absolute(time, zone, language, now = Date.now()) {
  const date = new Date(time);
  const other = date.getUTCFullYear() !== new Date(now).getUTCFullYear();
  return new Intl.DateTimeFormat(formatOf(language), {
    timeZone: zone,
    weekday: "short",
    day: "numeric",
    month: "short",
    ...(other ? { year: "numeric" } : {}),
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(date);
}

/** "08:01:12" in a zone: for events that follow each other within a minute. */
export function clock(time, zone, language) {
  return new Intl.DateTimeFormat(formatOf(language), {
    timeZone: zone,
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(new Date(time));
}

/** "in 9 hours", "3 minutes ago", "now". */
export function relative(time, language, now = Date.now()) {
  const span = new Date(time).getTime() - now;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(span) >= length) ?? ["second", 1000];
  const format = new Intl.RelativeTimeFormat(formatOf(language), { numeric: "auto" });
  return format.format(Math.trunc(span / size), unit);
}

/** Hour, minute and the parts of a day of an instant in a zone, as text by name. */
function partsOf(time, zone, day) {
  const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...day, ...clock });
  return Object.fromEntries(
    format.formatToParts(new Date(time)).map((part) => [part.type, part.value]),
  );
}

/** The wall clock of an instant in a zone: weekday as in windows, and minutes since midnight. */
export function wallClock(time, zone) {
  const parts = partsOf(time, zone, { weekday: "short" });
  const day = parts.weekday.toLowerCase().slice(0, 3);
  return { day, minutes: Number(parts.hour) * 60 + Number(parts.minute) };
}

export const minutesOf = (text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));

/** Whether weekly windows are open at an instant: `from` included, `to` excluded. */
export function isOpen(windows, zone, time) {
  if (!windows?.length) return true;
  const { day, minutes } = wallClock(time, zone);
  const yesterday = DAYS[(DAYS.indexOf(day) + 6) % 7];
  return windows.some(({ days, from, to }) => {
    const [start, end] = [minutesOf(from), minutesOf(to)];
    if (start < end) return days.includes(day) && start <= minutes && minutes < end;
    return (days.includes(day) && minutes >= start) || (days.includes(yesterday) && minutes < end);
  });
}

/** The states of the next 24 h in steps of 15 minutes: "open", "closed" or "muted". */
export function nextDay(windows, mutedUntil, zone, now) {
  const first = Math.floor(now / (15 * MINUTE)) * 15 * MINUTE;
  return Array.from({ length: 96 }, (_, step) => {
    const time = first + step * 15 * MINUTE;
    const muted = mutedUntil && Math.max(time, now) < new Date(mutedUntil).getTime();
    return { time, state: muted ? "muted" : isOpen(windows, zone, time) ? "open" : "closed" };
  });
}

/** The next instant at which the wall clock in a zone shows a time of tomorrow, such as 08:00. */
export function tomorrowAt(minutes, zone, now) {
  const today = wallClock(now, zone);
  const guess = now + (1440 - today.minutes + minutes) * MINUTE;
  // A clock change in between moves the wall clock by up to an hour or two.
  let off = wallClock(guess, zone).minutes - minutes;
  if (off > 720) off -= 1440;
  if (off < -720) off += 1440;
  return Math.floor((guess - off * MINUTE) / MINUTE) * MINUTE;
}

/** The instant at which a zone's wall clock shows a local date and time, "2026-11-28T08:00". */
export function instantOf(local, zone) {
  const wanted = new Date(`${local}:00Z`).getTime();
  let time = wanted;
  for (let round = 0; round < 2; round += 1) {
    const shown = new Date(`${localOf(time, zone)}:00Z`).getTime();
    time += wanted - shown;
  }
  return time;
}

/** "2026-11-28T08:00" for an instant in a zone, as an input of type datetime-local has it. */
export function localOf(time, zone) {
  const parts = partsOf(time, zone, { year: "numeric", month: "2-digit", day: "2-digit" });
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
}

export const knownZones = () => ["UTC", ...Intl.supportedValuesOf("timeZone")];

export const browserZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

function formatOf(language) {
  return { en: "en-GB", pseudo: "en-GB" }[language] ?? language;
}
