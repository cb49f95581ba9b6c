/** One header and what follows it, with any nonsense in it. */
export interface Member {
  readonly name: string
  /** Default `0`, a file. */
  readonly type?: string
  readonly link?: string
  readonly content?: string | Uint8Array
  /** Instead of the content's own. */
  readonly size?: string
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly mtime?: number
  readonly major?: number
  readonly minor?: number
  /** Records of an extended header before it. */
  readonly pax?: Readonly<Record<string, string>>
  /** Instead of the right one. */
  readonly checksum?: string
}

/** An archive as an honest program would not write it. */
export function tarBytes(members: readonly Member[], { end = true } = {}): Buffer {
  return Buffer.concat([...members.flatMap(memberBytes), Buffer.alloc(end ? 1024 : 0)])
}

export function memberBytes(member: Member): Buffer[] {
  const content = Buffer.from(member.content ?? '')
  const parts: Buffer[] = []
  if (member.pax !== undefined) {
    const records = Object.entries(member.pax).map(([key, value]) => paxRecord(key, value))
    parts.push(...memberBytes({ name: 'pax', type: 'x', content: Buffer.concat(records) }))
  }
  const header = Buffer.alloc(512)
  header.write(member.name.slice(0, 100), 0, 'latin1')
  octal(header, 100, 8, member.mode ?? 0o644)
  octal(header, 108, 8, member.uid ?? 0)
  octal(header, 116, 8, member.gid ?? 0)
  if (member.size === undefined) octal(header, 124, 12, content.length)
  else header.write(member.size, 124, 12, 'latin1')
  octal(header, 136, 12, member.mtime ?? 0)
  header.write(' '.repeat(8), 148)
  header.write(member.type ?? '0', 156, 'latin1')
  header.write((member.link ?? '').slice(0, 100), 157, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  octal(header, 329, 8, member.major ?? 0)
  octal(header, 337, 8, member.minor ?? 0)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(member.checksum ?? `${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1')
  return [...parts, header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
}

function octal(header: Buffer, at: number, length: number, value: number): void {
  header.write(value.toString(8).padStart(length - 1, '0'), at, length - 1, 'latin1')
}

/** The length at its start counts its own digits. */
export function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`)
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length += 1
  return Buffer.concat([Buffer.from(String(length)), rest])
}
