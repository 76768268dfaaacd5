/**
 * Capstan over HTTP.
 *
 * @since 0.1.0
 */
export * as ApiError from "./ApiError.ts"
export * as ApiInsight from "./ApiInsight.ts"
export * as ApiModel from "./ApiModel.ts"
export * as ApiSettings from "./ApiSettings.ts"
export * as AuditLog from "./AuditLog.ts"
export * as Auth from "./Auth.ts"
export * as Drain from "./Drain.ts"
export * as JobsApi from "./JobsApi.ts"
export * as JobsHttp from "./JobsHttp.ts"
export * as Page from "./Page.ts"
export * as Permission from "./Permission.ts"
export * as WaitpointUrl from "./WaitpointUrl.ts"
export * as Webhook from "./Webhook.ts"
export * as WebhookScheme from "./WebhookScheme.ts"
