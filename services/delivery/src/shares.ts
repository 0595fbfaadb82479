// How many sessions of a destination's limit this process may have. The limit holds for all delivery processes together, so each live
// incarnation gets its share of it, reckoned from the heartbeats, without a word per session:
//
//   * Everybody knows the incarnations that live from its last heartbeat and divides the limit by their number; who gets one of the remainder
//     follows from a hash of its id and the destination. With more members nobody's share grows.
//   * A heartbeat says whose presence it reckons with (`applied`). Who was written down stays reckoned with until the next heartbeat has
//     written that it isn't any more: shares shrink at once and grow a heartbeat later.
//   * Who comes opens no session before all who were there have said that they reckon with it. Who comes later sees it anyway.
//   * Where somebody still has more sessions open than its share (they end when their transactions do), it says so (`over`), and the
//     others take that off theirs.
//
// So the sum never exceeds the limit, but for one case that nobody can see: an incarnation that was silent for ten seconds counts no more, and
// may be waiting for the answer to a final dot all the same.

/** What a heartbeat says beside being alive. */
export interface Said {
  /** Incarnations that this one reckons with. */
  applied: readonly string[];
  /** Sessions beyond its share, by destination. */
  over: Readonly<Record<string, number>>;
}

/** Another incarnation that lives, and what it said last. */
export interface Peer extends Said {
  id: string;
}

// Shares are asked for all the time and change with the members only.
const maxRemembered = 10_000;

export class Shares {
  #self: string | undefined;
  #seen: string[] = [];
  #members: string[] = [];
  // Who has to say first that it reckons with us, and who has.
  #awaited = new Set<string>();
  #acknowledged = new Set<string>();
  #over = new Map<string, number>();
  #remembered = new Map<string, number>();

  /** Whom the next heartbeat says it reckons with. */
  get toSay(): readonly string[] {
    return this.#seen;
  }

  /** How many others live. */
  get peers(): number {
    return this.#seen.length;
  }

  /**
   * After a heartbeat that said `applied`, with what it was answered. `fresh`: the first one, or the first after others may have taken this one
   * for dead.
   */
  heard(
    self: string,
    applied: readonly string[],
    peers: readonly Peer[],
    fresh: boolean,
  ): { membersChanged: boolean; sharesChanged: boolean } {
    const before = this.#fingerprints();
    this.#self = self;
    this.#seen = peers.map((peer) => peer.id).sort();
    this.#members = [...new Set([...applied, ...this.#seen, self])];
    const silent = peers.filter((peer) => !peer.applied.includes(self)).map((peer) => peer.id);
    this.#awaited = new Set(silent.filter((id) => fresh || this.#awaited.has(id) || this.#acknowledged.has(id)));
    this.#acknowledged = new Set(this.#seen.filter((id) => !silent.includes(id)));
    this.#over = new Map();
    for (const { over } of peers) {
      for (const [destination, count] of Object.entries(over)) this.#over.set(destination, (this.#over.get(destination) ?? 0) + count);
    }
    this.#remembered.clear();
    const now = this.#fingerprints();
    return { membersChanged: now.members !== before.members, sharesChanged: now.members !== before.members || now.over !== before.over };
  }

  /** How many of so many sessions are this process's. */
  of(destination: string, limit: number): number {
    let share = this.#remembered.get(destination);
    if (share === undefined) {
      share =
        this.#self === undefined || this.#awaited.size > 0
          ? 0
          : Math.max(0, this.whole(destination, limit) - (this.#over.get(destination) ?? 0));
      if (this.#remembered.size >= maxRemembered) this.#remembered.clear();
      this.#remembered.set(destination, share);
    }
    return share;
  }

  /** The share once everybody keeps to theirs: what is open beyond it is `over`. */
  whole(destination: string, limit: number): number {
    return this.#self === undefined ? limit : shareOf(this.#self, this.#members, destination, limit);
  }

  #fingerprints(): { members: string; over: string } {
    return { members: JSON.stringify([this.#self, this.#members, this.#seen, [...this.#awaited]]), over: JSON.stringify([...this.#over]) };
  }
}

/** One member's share. Over all members it adds up to the limit, and it doesn't grow when members are added. */
export function shareOf(self: string, members: readonly string[], destination: string, limit: number): number {
  const whole = Math.floor(limit / members.length);
  const rest = limit - whole * members.length;
  if (rest === 0) return whole;
  const mine = lot(self, destination);
  let before = 0;
  for (const member of members) {
    if (member === self) continue;
    const theirs = lot(member, destination);
    if (theirs < mine || (theirs === mine && member < self)) before++;
  }
  return before < rest ? whole + 1 : whole;
}

/** FNV-1a: even enough, and the same in every process. */
function lot(member: string, destination: string): number {
  const text = `${destination}\n${member}`;
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  // FNV's last characters change the low bits most; these make the order.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
  return (hash ^ (hash >>> 13)) >>> 0;
}
