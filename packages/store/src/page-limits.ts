/** A page of a range ends after the item that takes it over this. */
export const PAGE_BYTES = 4 * 1024 * 1024
/** A page of history ends after the revision that takes it over one of these. */
export const HISTORY_PAGE_CHANGES = 256
export const HISTORY_PAGE_BYTES = 1024 * 1024
/** Revisions looked at for one page of history, so that a watch of a quiet prefix holds up nobody. */
export const HISTORY_PAGE_REVISIONS = 4096
