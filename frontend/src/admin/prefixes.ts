/** How a jurisdiction is typed. Pure. */

/** Prefixes of a line; only the word `all` alone is everything, an empty line is nothing. */
export function jurisdiction(line: string): "all" | string[] {
  const parts = line.split(/[\s,，]+/).filter(Boolean);
  return parts.length === 1 && parts[0] === "all" ? "all" : parts;
}

export function spelt(prefixes: "all" | string[]): string {
  return prefixes === "all" ? "all" : prefixes.join(" ");
}
