// The known name that somebody most likely meant: `replyTo` → `reply_to`, `subjcet` → `subject`, `recipient` → none.

/** Undefined when nothing is near enough to be worth saying. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  // Nobody types a name this long by mistake, and the comparison costs length × length.
  if (name.length > 64) return undefined;
  const plain = plainOf(name);
  let best: string | undefined;
  let bestDistance = Math.floor(plain.length / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(plain, plainOf(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

// Case and separators are a matter of taste, not of meaning.
function plainOf(name: string): string {
  return name.toLowerCase().replace(/[_\-\s]/g, '');
}

// Insertions, deletions, replacements and swaps of neighbours count one each.
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let distance = Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + (same ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        distance = Math.min(distance, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(distance);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
