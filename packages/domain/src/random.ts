/** Where random bytes come from; injected, so that a whole cluster can be replayed from a seed. */
export interface Random {
  bytes(count: number): Uint8Array
}
