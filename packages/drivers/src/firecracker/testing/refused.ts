/** Becomes an answer 400 with this sentence. */
export class Refused extends Error {}
