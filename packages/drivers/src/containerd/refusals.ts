/** What is said when a machine, or any machine, cannot be had here. */
export const NOT_ROOT = {
  proven: false,
  reason: 'containerd and the machines that it runs are the business of root',
  fix: 'Run the daemon as root, or use the driver bubblewrap.',
} as const
export const NO_RUNTIME = {
  reason: 'runc is not installed',
  fix: "Install it with the system's package manager, for example `apt-get install runc`.",
} as const
export const HOST_PROBLEM = {
  field: 'from',
  message: 'containerd runs images, and the template `host` is none',
  fix: 'Use a template that is made from an image, or a driver such as bubblewrap.',
} as const
export const NO_IMAGE_PROBLEM = {
  field: 'from',
  message: 'it is not said of which image the layers are',
  fix: 'Use a template that is made from an image.',
} as const
