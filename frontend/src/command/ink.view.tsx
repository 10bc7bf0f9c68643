/** The patterns of the classes for charts: the same strokes as on the map, over the class's own fill. */
import { For } from "solid-js";
import { OVERLAY, PIXEL_RATIO, patternOf } from "../style/patterns";

export function InkPatterns(props: { dark: boolean }) {
  const of = (colour: string) => patternOf(`${colour}/${props.dark ? "dark" : "light"}`);
  const px = (size: number) => size / PIXEL_RATIO;
  return (
    <svg class="hidden" aria-hidden="true">
      <defs>
        <For each={OVERLAY}>
          {(colour) => (
            <pattern
              id={`ink-${colour}`}
              patternUnits="userSpaceOnUse"
              width={px(of(colour)?.size ?? 2)}
              height={px(of(colour)?.size ?? 2)}
            >
              <rect class={`fill-${colour}`} width="100%" height="100%" />
              <g opacity={of(colour)?.opacity}>
                <For each={of(colour)?.lines}>
                  {([x1, y1, x2, y2]) => (
                    <line
                      x1={px(x1)}
                      y1={px(y1)}
                      x2={px(x2)}
                      y2={px(y2)}
                      stroke={of(colour)?.stroke}
                      stroke-width={px(of(colour)?.width ?? 0)}
                    />
                  )}
                </For>
                <For each={of(colour)?.dots}>
                  {([x, y, r]) => (
                    <circle cx={px(x)} cy={px(y)} r={px(r)} fill={of(colour)?.stroke} />
                  )}
                </For>
              </g>
            </pattern>
          )}
        </For>
      </defs>
    </svg>
  );
}
