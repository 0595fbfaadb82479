// What a template lacks: which variables were asked for and not given, also where they are needed only by way of `assign`.
//
// LiquidJS is lenient in an `assign` when it is in conditions, so `{% assign a = b | upcase %}{{ a }}` would be blank where `{{ b | upcase }}` is
// refused. Here a name that something missing was assigned to stands for it: in conditions it is nothing, and where it is filled in, what is missing
// is named.
import {
  type Arguments,
  AssignTag,
  type Context,
  EchoTag,
  evalToken,
  ForTag,
  LiquidError,
  Output,
  TablerowTag,
  type Template,
  toValueSync,
  Value,
} from 'liquidjs';

/** Thrown where a variable is asked for that isn't there. */
export class NotThere extends Error {
  // LiquidJS knows it by this name, and is lenient about it in conditions and for `default`.
  override readonly name = 'InternalUndefinedVariableError';
  readonly variableNames: readonly string[];
  constructor(variableNames: readonly string[]) {
    super(`undefined variable: ${variableNames.join(', ')}`);
    this.variableNames = variableNames;
  }
}

/** What is in a scope under a name that something missing was assigned to. */
export class Absent {
  readonly variableNames: readonly string[];
  constructor(variableNames: readonly string[]) {
    this.variableNames = variableNames;
  }
}

/** The variables whose absence is this error; undefined for any other error. */
export function missingVariables(error: unknown): readonly string[] | undefined {
  if (!LiquidError.is(error) || error.name !== 'UndefinedVariableError') return undefined;
  return error.originalError instanceof NotThere ? error.originalError.variableNames : undefined;
}

/** Everything that a node lacks, not just what it met first: `{{ a | append: b }}` may lack both. */
export function lackedBy(template: Template, context: Context): string[] {
  // Of other nodes not all arguments are looked at each time: of a `cycle` one.
  if (!(template instanceof Output || template instanceof EchoTag || template instanceof ForTag || template instanceof TablerowTag))
    return [];
  return lackedIn(template.arguments?.() ?? [], context);
}

// Of so many, the rest is found once these are given: looking for what is missing costs more than finding what is there.
const maxLooks = 100;

function lackedIn(values: Arguments, context: Context): string[] {
  const names = new Set<string>();
  let looks = 0;
  const look = (evaluated: () => Iterator<unknown>) => {
    if (looks++ >= maxLooks) return;
    try {
      toValueSync(evaluated() as Generator<unknown, unknown, unknown>);
    } catch (error) {
      // What else is wrong is told where it is needed: of this node it is enough that something is missing.
      for (const name of missingVariables(error) ?? []) names.add(name);
    }
  };
  for (const value of values) {
    if (!(value instanceof Value)) {
      // `offset: continue` is a word of the loop, not a variable.
      if (value.getText() !== 'continue') look(() => evalToken(value, context));
      continue;
    }
    if (value.filters[0]?.name !== 'default') look(() => value.initial.evaluate(context, false));
    for (const { args } of value.filters) for (const arg of args) look(() => evalToken(Array.isArray(arg) ? arg[1] : arg, context));
  }
  return [...names];
}

/** `assign`, of what is there. */
export class Assign extends AssignTag {
  override *render(context: Context): Generator<unknown, void, unknown> {
    const { key, value } = this as unknown as { key: string; value: Value };
    // What a comparison makes of nothing is something: true or false.
    const compares = value.initial.postfix.length > 1;
    try {
      context.bottom()[key] = yield value.value(context, compares);
    } catch (error) {
      const missing = missingVariables(error);
      if (missing === undefined) throw error;
      context.bottom()[key] = new Absent([...new Set([...missing, ...lackedIn([value], context)])]);
    }
  }
}
