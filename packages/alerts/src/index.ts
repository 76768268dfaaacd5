/**
 * Alerts of Capstan.
 *
 * @since 0.1.0
 */
export * as AlertChannel from "./AlertChannel.ts"
export * as AlertRule from "./AlertRule.ts"
export * as Alerts from "./Alerts.ts"
