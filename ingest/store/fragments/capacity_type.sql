-- Whether a node may be taken away at any time, by its labels ($1, as kube-state-metrics spells them) on EKS, with Karpenter, on GKE
-- and on AKS: spot, on-demand, or '' where nobody says.
multiIf(
        lower($1['label_eks_amazonaws_com_capacity_type']) = 'spot'
            OR $1['label_karpenter_sh_capacity_type'] = 'spot'
            OR $1['label_kubernetes_azure_com_scalesetpriority'] = 'spot'
            OR $1['label_cloud_google_com_gke_provisioning'] IN ('spot', 'preemptible')
            OR 'true' IN ($1['label_cloud_google_com_gke_spot'], $1['label_cloud_google_com_gke_preemptible']), 'spot',
        lower($1['label_eks_amazonaws_com_capacity_type']) = 'on_demand'
            OR $1['label_karpenter_sh_capacity_type'] = 'on-demand'
            OR $1['label_kubernetes_azure_com_scalesetpriority'] = 'regular'
            OR $1['label_cloud_google_com_gke_provisioning'] = 'standard', 'on-demand',
        '')
