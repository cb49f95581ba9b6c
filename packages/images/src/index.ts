export type { ImageStore } from '@cove/domain'
