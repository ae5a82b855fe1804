-- Whether a node may be taken away at any time, by its labels ($1) on EKS, with Karpenter, on GKE and on AKS: spot, on-demand, or ''
-- where nobody says.
multiIf(
        'spot' IN (
            lower($1['label_eks_amazonaws_com_capacity_type']), $1['label_karpenter_sh_capacity_type'],
            $1['label_kubernetes_azure_com_scalesetpriority'])
            OR 'true' IN ($1['label_cloud_google_com_gke_spot'], $1['label_cloud_google_com_gke_preemptible']), 'spot',
        'on_demand' = lower($1['label_eks_amazonaws_com_capacity_type'])
            OR 'on-demand' = $1['label_karpenter_sh_capacity_type'], 'on-demand',
        '')
