/** One entry of an archive that tests make. */
export interface TarBytesEntry {
  readonly name: string
  readonly content?: Uint8Array | string
  /** The type flag of the header. Default `0`, a file. */
  readonly type?: string
  readonly linkName?: string
  readonly mode?: number
  /** In place of the real one, for archives that lie. */
  readonly size?: number
}

const BLOCK = 512

/** A tar archive of exactly these entries, also of those that no program would write. */
export function tarBytes(entries: readonly TarBytesEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(entryBytes), Buffer.alloc(2 * BLOCK)])
}

function entryBytes({ name, content = '', type = '0', linkName = '', mode = 0o644, size }: TarBytesEntry): Buffer[] {
  const body = Buffer.from(content)
  const header = Buffer.alloc(BLOCK)
  header.write(name, 0, 100)
  header.write(`${octal(mode, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100)
  header.write(`${octal(size ?? body.length, 11)}\0${octal(0, 11)}\0        ${type}`, 124)
  header.write(linkName, 157, 100)
  header.write('ustar\u000000', 257)
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )}\0 `,
    148,
  )
  return [header, body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)]
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
