/** The command line cannot be understood. Ends the program with status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly fix: string

  constructor(message: string, fix: string) {
    super(message)
    this.fix = fix
  }
}
