/** A string that has passed one particular parser; the tag exists only for the compiler. */
export type Brand<Base, Name extends string> = Base & { readonly __brand: Name }
