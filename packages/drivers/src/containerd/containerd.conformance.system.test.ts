import { missingForContainerd } from '@cove/containerd-engine/testing'
import { openContainerdRig } from '../../test/support/containerd-rig.ts'
import { noSmallRoot } from '../../test/support/small-root.ts'
import { driverConformance } from '../conformance/index.ts'

driverConformance('containerd', () => openContainerdRig(), { skip: missingForContainerd() ?? noSmallRoot })
