/** Services that are gRPC's and not Cove's. The two versions of reflection differ in their package only. */
export * from './gen/grpc/health/v1/health_pb.ts'
export {
  ServerReflection as ServerReflectionAlpha,
  ServerReflectionResponseSchema as ServerReflectionAlphaResponseSchema,
} from './gen/grpc/reflection/v1alpha/reflection_pb.ts'
export * from './gen/grpc/reflection/v1/reflection_pb.ts'
