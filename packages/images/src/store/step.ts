/** Called before each thing that could fail or be the last one; tests make it fail or end the process there. */
export type Step = (name: string) => void | Promise<void>

export const noStep: Step = () => {}
