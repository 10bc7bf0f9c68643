/** Whatever opened something has the focus again when that is closed and took the focus with it. */
import { type Accessor, createEffect, on } from "solid-js";

/**
 * `fallback`: where to go when the opener is not there any more. A focus that stands elsewhere by then is
 * left alone.
 */
export function returnFocus(
  open: Accessor<boolean>,
  fallback?: () => HTMLElement | null | undefined,
): void {
  let opener: Element | null = null;
  createEffect(
    on(open, (now, before) => {
      if (now && !before) opener = document.activeElement;
      if (now || !before) return;
      const to = opener;
      opener = null;
      queueMicrotask(() => {
        const at = document.activeElement;
        if (at && at !== document.body) return;
        const there = to instanceof HTMLElement && to !== document.body && to.isConnected;
        (there ? to : fallback?.())?.focus();
      });
    }),
  );
}
