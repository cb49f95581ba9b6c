import { FrameError } from '../frame-error.ts'

/** The rule that `act` broke; undefined when it broke none. */
export function brokenRule(act: () => void): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    return error instanceof FrameError ? error.reason : 'another error'
  }
}
