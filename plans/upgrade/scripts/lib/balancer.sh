# The load balancer's name or address alone: the plan's may have a port, which is the one for users.
balancer=$EXTERNAL_ADDRESS
case $balancer in
*]) ;;
\[*) balancer=${balancer%:*} ;;
*:*:*) ;;
*:*) balancer=${balancer%:*} ;;
esac
