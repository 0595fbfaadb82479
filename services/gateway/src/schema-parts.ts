// What the schemas of requests share: refusing with a code of ours, checks that run beside other problems, and lists with limits.
import { z } from 'zod';

// Line breaks and other controls, the two Unicode line breaks, halves of surrogate pairs: nothing of these gets into a header.
export const controls = /[\p{Cc}\p{Cs}\u2028\u2029]/u;

/** The same for readers of the document: text without any. */
export const noControls = '^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*$';

export type Context = z.core.$RefinementCtx;

export function refuse(context: Context, input: unknown, code: string, message: string, path: PropertyKey[] = []): never {
  context.addIssue({ code: 'custom', input, message, path, params: { code } });
  return z.NEVER;
}

// zod leaves checks of a whole out when a part of it is wrong; everything is to be told at once.
export const besideOthers = { when: (payload: z.core.ParsePayload): boolean => isObject(payload.value) };

/** Beside other problems, but not where one of these fields is the problem itself. */
export function besideOthersThan(...fields: string[]): typeof besideOthers {
  return { when: (payload) => isObject(payload.value) && !payload.issues.some((issue) => fields.includes(String(issue.path?.[0]))) };
}

export function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What of a record has the right type: checks beside other problems see the wrong ones too. */
export function textEntries(record: Record<string, unknown>): [string, string][] {
  return Object.entries(record).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
}

/** A list that is not looked into when it is too long: zod would write down what is wrong with each of a million items first. */
export function listOf<S extends z.ZodType>(item: S, min: number, max: number) {
  return z.preprocess((value, context) => {
    if (!Array.isArray(value) || value.length <= max) return value;
    context.addIssue({ code: 'too_big', origin: 'array', maximum: max, inclusive: true, input: value });
    return z.NEVER;
  }, z.array(item).min(min).max(max));
}

/** Text by name, with the same care. */
export function textsByName(max: number) {
  return z.preprocess(
    (value, context) => {
      if (!isObject(value)) return value;
      if (Object.keys(value as object).length > max) {
        context.addIssue({ code: 'too_big', origin: 'array', maximum: max, inclusive: true, input: value });
        return z.NEVER;
      }
      // zod's records leave this one name out without a word.
      if (Object.hasOwn(value as object, '__proto__'))
        refuse(context, value, 'invalid_name', 'The name __proto__ can’t be used.', ['__proto__']);
      return value;
    },
    z.record(z.string(), z.string()),
  );
}
