import { formatBytes } from '@cove/domain'
import type { KernelInfo } from '@cove/guest-system'
import type { Column } from '../render/table.ts'
import { ageText } from '../render/text.ts'

/** Enough to tell kernels apart, and short enough to type. */
const SHORT = 12

export const shortKernelId = (id: string): string => id.slice(0, SHORT)

export const KERNEL_COLUMNS: readonly Column<KernelInfo>[] = [
  { title: 'ID', minWidth: SHORT, cell: ({ id }) => shortKernelId(id) },
  { title: 'VERSION', cell: ({ version }) => version },
  { title: 'ORIGIN', cell: ({ origin }) => origin },
  { title: 'SIZE', cell: ({ bytes }) => formatBytes(bytes) },
  { title: 'AGE', cell: ({ madeAt }) => (madeAt === 0 ? '-' : ageText(new Date(madeAt), Date.now())) },
  { title: 'STATE', cell: ({ current, damaged }) => (damaged ? 'damaged' : current ? 'current' : '-') },
  { title: 'SOURCE', cut: true, cell: ({ source }) => source },
]
