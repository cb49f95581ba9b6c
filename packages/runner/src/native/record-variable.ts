/**
 * Names a process's record in its environment and in those of all that it starts: they are found by it when they have
 * left its session and lost their parents.
 */
export const RECORD_VARIABLE = 'COVE_RECORD'
