import { noFirecrackerStandIn, openFirecrackerRig } from '../../test/support/firecracker-rig.ts'
import { driverConformance } from '../conformance/index.ts'

driverConformance('firecracker, over a stand-in of Firecracker', openFirecrackerRig, { skip: noFirecrackerStandIn })
