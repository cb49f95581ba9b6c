import { fromJson } from '@bufbuild/protobuf'
import { FileInfoSchema, FileService } from '@cove/api'
import { CoveError, type FileEvent } from '@cove/domain'
import { signUrl, type SignedUrl, type SignUrlOptions } from './access.ts'
import { fileInfo } from './convert/file.ts'
import type { FileInfo } from './file-info.ts'
import type { FileContent, FileOptions, ListFilesOptions, MakeDirectoryOptions, ReadOptions } from './file-options.ts'
import type { RemoveOptions, WatchFilesOptions, WriteOptions } from './file-options.ts'
import { watchFiles } from './file-watch.ts'
import type { TransferOptions, TransferSummary } from './transfer/options.ts'
import type { HttpBody, HttpRequest } from './wire/http.ts'
import { parseJson } from './wire/errors.ts'
import { Reconnect } from './wire/reconnect.ts'
import { callSignal, type Rpc } from './wire/rpc.ts'

/** The longest file that `read` and `readText` hold in memory unless told otherwise. */
const MAX_READ_BYTES = 256 * 1024 * 1024
const MAX_ANSWER_BYTES = 64 * 1024

/** The files of one sandbox. Paths are absolute; everything is done with the rights of `user`, default `user`. */
export class Files {
  readonly #rpc: Rpc
  readonly #sandbox: string

  /** @internal */
  constructor(rpc: Rpc, sandbox: string) {
    this.#rpc = rpc
    this.#sandbox = sandbox
  }

  /** The whole content; `payload-too-large` when it is longer than `maxBytes` (default 256 MiB). */
  async read(path: string, options: ReadOptions & { readonly maxBytes?: number } = {}): Promise<Uint8Array> {
    return this.#rpc.retrying(true, options, async (signal) => {
      const response = await this.#rpc.exchange(this.#get(path, options, signal))
      return response.bytes(options.maxBytes ?? MAX_READ_BYTES)
    })
  }

  /** The whole content as text; bytes that are not UTF-8 become U+FFFD. Limits and errors as with `read`. */
  async readText(path: string, options: ReadOptions & { readonly maxBytes?: number } = {}): Promise<string> {
    return new TextDecoder().decode(await this.read(path, options))
  }

  /**
   * The content as a stream of any length, in constant memory. Leaving the loop early ends the transfer; one that breaks off
   * fails with `connection-lost`, and is not taken up again.
   */
  async readStream(path: string, options: ReadOptions = {}): Promise<FileContent> {
    const response = await this.#rpc.retrying(true, options, (signal) =>
      this.#rpc.exchange(this.#get(path, options, signal)),
    )
    return { size: Number(response.header('content-length') ?? 0), content: response.body }
  }

  /** Replaces the file in one step when all of the content has arrived; a stream that breaks off changes nothing. */
  async write(path: string, content: string | HttpBody, options: WriteOptions = {}): Promise<FileInfo> {
    const body = typeof content === 'string' ? new TextEncoder().encode(content) : content
    const query = this.#query(path, options.user)
    if (options.mode !== undefined) query.set('mode', options.mode.toString(8))
    if (options.parents === false) query.set('parents', 'false')
    // A stream has been used up by its first try.
    const repeatable = body instanceof Uint8Array || body instanceof Blob
    return this.#rpc.retrying(repeatable, repeatable ? options : { ...options }, async (signal) => {
      const headers = { 'content-type': 'application/octet-stream' }
      const call: HttpRequest = { method: 'PUT', path: this.#route(query), headers, body }
      const response = await this.#rpc.exchange(signal === undefined ? call : { ...call, signal })
      const json = parseJson(new TextDecoder().decode(await response.bytes(MAX_ANSWER_BYTES)))
      return fileInfo(fromJson(FileInfoSchema, json as Parameters<typeof fromJson>[1], { ignoreUnknownFields: true }))
    })
  }

  /** Copies a local file, or a directory with everything in it, to exactly `remote`. Node only. */
  async upload(local: string, remote: string, options: TransferOptions = {}): Promise<TransferSummary> {
    const transfer = await import('#transfer')
    return transfer.upload(this, local, remote, options).catch(asIoError)
  }

  /**
   * Copies a file, or a directory with everything in it, to exactly `local`. Names and links of the sandbox's making
   * lead to no place outside of it. Node only.
   */
  async download(remote: string, local: string, options: TransferOptions = {}): Promise<TransferSummary> {
    const transfer = await import('#transfer')
    return transfer.download(this, remote, local, options).catch(asIoError)
  }

  /** Symlinks are not followed. */
  async stat(path: string, options: FileOptions = {}): Promise<FileInfo> {
    const answer = await this.#rpc.unary(FileService.method.statFile, this.#at(path, options), options)
    if (answer.file === undefined) throw new CoveError('internal', 'the server answered without a file')
    return fileInfo(answer.file)
  }

  /** True when there is something at the path, also a link that leads nowhere. Symlinks are not followed. */
  async exists(path: string, options: FileOptions = {}): Promise<boolean> {
    try {
      await this.stat(path, options)
      return true
    } catch (thrown) {
      if (thrown instanceof CoveError && thrown.code === 'file-not-found') return false
      throw thrown
    }
  }

  /**
   * What is in a directory, as it comes: any number of entries. With `depth`, what is below it too. A listing that breaks
   * off in the middle fails: what is in a directory may have changed, so that nobody can go on where it was.
   */
  async *list(path: string, options: ListFilesOptions = {}): AsyncGenerator<FileInfo> {
    const request = { ...this.#at(path, options), depth: options.depth ?? 0 }
    const signal = callSignal(options)
    const line = new Reconnect(this.#rpc.parts, signal)
    for (let told = false; ;) {
      try {
        line.begin()
        for await (const { files } of this.#rpc.stream(FileService.method.listFiles, request, signal)) {
          told = true
          for (const file of files) yield fileInfo(file)
        }
        return
      } catch (thrown) {
        if (told) throw CoveError.from(thrown)
        await line.failed(thrown, this.#rpc.policy)
      }
    }
  }

  /** Makes a directory. `file-exists` when there is something already; with `parents` a directory there is no error. */
  async mkdir(path: string, options: MakeDirectoryOptions = {}): Promise<void> {
    const { parents = false, mode } = options
    const request = { ...this.#at(path, options), parents, ...(mode === undefined ? {} : { mode }) }
    await this.#rpc.unary(FileService.method.makeDirectory, request, { ...options, idempotent: parents })
  }

  /** Renames, and replaces a file that is in its place. Both paths are in the same sandbox. */
  async move(from: string, to: string, options: FileOptions = {}): Promise<void> {
    const { user = '' } = options
    await this.#rpc.unary(FileService.method.moveFile, { sandbox: this.#sandbox, from, to, user }, options)
  }

  /** Removes a file, a link or an empty directory; with `recursive` all that is in it too. Links are not followed. */
  async remove(path: string, options: RemoveOptions = {}): Promise<void> {
    const { recursive = false, force = false } = options
    const request = { ...this.#at(path, options), recursive, force }
    await this.#rpc.unary(FileService.method.removeFile, request, { ...options, idempotent: force })
  }

  /** Sets the permission bits, such as `0o755`. */
  async chmod(path: string, mode: number, options: FileOptions = {}): Promise<void> {
    const request = { ...this.#at(path, options), mode }
    await this.#rpc.unary(FileService.method.changeMode, request, { ...options, idempotent: true })
  }

  /** Makes `path` a link to `target`, which may be relative and need not exist. */
  async symlink(target: string, path: string, options: FileOptions = {}): Promise<void> {
    await this.#rpc.unary(FileService.method.makeSymlink, { ...this.#at(path, options), target }, options)
  }

  /** An address that reads (GET) or writes (PUT) one file without a key until it expires. */
  signUrl(path: string, options: SignUrlOptions = {}): Promise<SignedUrl> {
    return signUrl(this.#rpc, this.#sandbox, path, options)
  }

  /**
   * Tells of every change below a path, from the moment this promise resolves. A dropped connection is made again. After
   * an `overflow`, look again: something was missed, because more happened than could be told or because the connection
   * had dropped. Ends with `file-not-found` when the path is gone after a drop, with the reason when no connection can be
   * made, or when the signal aborts. Leaving the loop ends the watch.
   */
  async watch(path: string, options: WatchFilesOptions = {}): Promise<AsyncGenerator<FileEvent>> {
    const { recursive = false, signal } = options
    const events = watchFiles(this.#rpc, { ...this.#at(path, options), recursive }, signal)
    // The first item says that the watch stands.
    await events.next()
    return events
  }

  #get(path: string, options: ReadOptions, signal: AbortSignal | undefined): HttpRequest {
    const query = this.#query(path, options.user)
    if (options.offset !== undefined) query.set('offset', String(options.offset))
    if (options.length !== undefined) query.set('length', String(options.length))
    const call: HttpRequest = { method: 'GET', path: this.#route(query), headers: {} }
    return signal === undefined ? call : { ...call, signal }
  }

  #query(path: string, user: string | undefined): URLSearchParams {
    const query = new URLSearchParams({ path })
    if (user !== undefined) query.set('user', user)
    return query
  }

  #route(query: URLSearchParams): string {
    // A slash may stand in a query as it is; encoded, a long path would not fit into the request's head.
    return `/v1/sandboxes/${encodeURIComponent(this.#sandbox)}/files?${query.toString().replaceAll('%2F', '/')}`
  }

  #at(path: string, { user = '' }: FileOptions) {
    return { sandbox: this.#sandbox, path, user }
  }
}

/** What is neither Cove's nor the network's comes from the disk of this machine. */
function asIoError(thrown: unknown): never {
  throw CoveError.from(thrown, 'io-error')
}
