// Hooks that the pages share.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

/**
 * Load something when a page opens and when `keys` change.
 * @returns {{data: any, error: Error | null, isLoading: boolean, reload: () => Promise<void>, setData: (data: any) => void}}
 */
export function useLoaded(load, keys) {
  const [state, setState] = useState({ data: null, error: null, isLoading: true });
  const newest = useRef(0);
  const reload = useCallback(async () => {
    const number = (newest.current += 1);
    setState((before) => ({ ...before, isLoading: true }));
    try {
      const data = await load();
      if (number === newest.current) setState({ data, error: null, isLoading: false });
    } catch (error) {
      if (number === newest.current) setState((before) => ({ ...before, error, isLoading: false }));
    }
  }, keys);
  useEffect(() => {
    setState({ data: null, error: null, isLoading: true });
    reload();
    return () => {
      newest.current += 1;
    };
  }, [reload]);
  const setData = (data) => setState({ data, error: null, isLoading: false });
  return { ...state, reload, setData };
}

/** Whether the window is at least this wide. */
export function useWide(rem) {
  const [query] = useState(() => matchMedia(`(min-width: ${rem}rem)`));
  const [isWide, setWide] = useState(query.matches);
  useEffect(() => {
    const listener = () => setWide(query.matches);
    query.addEventListener("change", listener);
    return () => query.removeEventListener("change", listener);
  }, [query]);
  return isWide;
}

/** The time of now, renewed every `seconds`, so that relative times stay true. */
export function useNow(seconds = 30) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
  return now;
}

/** Run one action at a time, and know whether it runs and what went wrong. */
export function useAction() {
  const [state, setState] = useState({ isBusy: false, error: null });
  const run = async (action) => {
    setState({ isBusy: true, error: null });
    try {
      const result = await action();
      setState({ isBusy: false, error: null });
      return result;
    } catch (error) {
      setState({ isBusy: false, error });
      return undefined;
    }
  };
  return { ...state, run };
}
